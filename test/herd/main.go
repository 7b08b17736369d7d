// Herd shows what coalescing is for: very many clients ask for one resource at the same moment, first while nothing is stored, then when what
// is stored has expired, then for a resource that may not be shared. It starts a slow origin, the gateway, and the clients, each in processes
// of their own on loopback, and prints how often the origin was asked, whether all answers were whole and equal, and when the first byte came.
//
//	go run ./test/herd [-n 10000] [-delay 1s]
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
)

func main() {
	switch {
	case len(os.Args) == 4 && os.Args[1] == clientsFlag:
		exit(beClients(os.Args[2], os.Args[3]))
	case len(os.Args) == 3 && os.Args[1] == originFlag:
		exit(beOrigin(os.Args[2]))
	}
	n := flag.Int("n", 10000, "how many clients ask at once")
	delay := flag.Duration("delay", time.Second, "how long the origin takes before the first half of its answer, and again before the second")
	flag.Parse()
	exit(run(*n, *delay))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "herd:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(n int, delay time.Duration) error {
	calls, err := callsAtOnce(n)
	if err != nil {
		return err
	}
	o, err := startOrigin(delay)
	if err != nil {
		return err
	}
	defer o.stop()
	url, stop, err := startGateway(o.url, calls, time.Now)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Printf("%d clients at once; the origin takes %v to the first byte and %v to the last, and gets at most %d calls at once\n\n", n, delay, 2*delay, calls)
	fmt.Printf("%-24s %8s %8s %9s %12s %12s %12s\n", "", "answers", "wrong", "origin", "first byte", "first byte", "last byte")
	fmt.Printf("%-24s %8s %8s %9s %12s %12s %12s\n", "", "", "", "calls", "earliest", "p99", "p99")
	for _, c := range []struct {
		name, path string
		pause      time.Duration
	}{
		{"cold key", "/cached", 0},
		{"the same key, expired", "/cached", lifetime + time.Second + 2*delay},
		{"uncacheable key", "/private", 0},
	} {
		time.Sleep(c.pause)
		if err := row(c.name, url+c.path, n, o); err != nil {
			return err
		}
	}
	return nil
}

// row has the clients run and prints what became of them.
func row(name, url string, n int, o *originProcess) error {
	before, err := o.calls()
	if err != nil {
		return err
	}
	r, err := inProcesses(url, n)
	if err != nil {
		return err
	}
	after, err := o.calls()
	if err != nil {
		return err
	}
	fmt.Printf("%-24s %8d %8d %9d %12v %12v %12v\n", name, r.OK, r.Wrong, after-before, r.First[0].Round(time.Millisecond), p99(r.First), p99(r.Last))
	if r.Err != "" {
		fmt.Println("   ", r.Err)
	}
	return nil
}

const gatewayYAML = `
version: 1
server:
  listen: [{address: "127.0.0.1:0"}]
admin: {address: "127.0.0.1:0"}
upstreams:
  slow: {targets: ["ORIGIN"], pool: {max: CALLS, wait: 60s}, timeouts: {connect: 10s, first_byte: 60s, idle: 60s, total: 120s}}
routes:
  - name: all
    match: {path: /*}
    upstream: slow
    cache: {enabled: true, early_refresh: 0, stale_while_revalidate: 0s}
    coalesce: {max_waiters: 20000, wait: 60s}
`

// startGateway runs a gateway in this process, in front of the origin at a URL. now is its clock.
func startGateway(origin string, calls int, now func() time.Time) (url string, stop func(), err error) {
	src := strings.NewReplacer("ORIGIN", origin, "CALLS", fmt.Sprint(calls)).Replace(gatewayYAML)
	cfg, err := config.Parse("herd.yaml", []byte(src), func(string) (string, bool) { return "", false }, os.ReadFile)
	if err != nil {
		return "", nil, err
	}
	g, err := proxy.New(cfg, proxy.Options{Now: now})
	if err != nil {
		return "", nil, err
	}
	url, stopServer, err := serve(g)
	if err != nil {
		return "", nil, err
	}
	return url, func() { stopServer(); g.Close(context.Background()) }, nil
}

// serve listens on a free port of the loopback interface.
func serve(h http.Handler) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: h}
	ended := make(chan struct{})
	go func() { s.Serve(l); close(ended) }()
	return "http://" + l.Addr().String(), func() { s.Close(); <-ended }, nil
}
