// Herd shows what coalescing is for: very many clients ask for one resource at the same moment, first while nothing is stored, then when what
// is stored has expired, then for a resource that may not be shared. It starts a slow origin and the gateway on loopback, and prints how often
// the origin was asked, whether all answers were whole and equal, and when the first byte came.
//
//	go run ./test/herd [-n 10000] [-delay 1s]
package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
)

func main() {
	n := flag.Int("n", 10000, "how many clients ask at once")
	delay := flag.Duration("delay", time.Second, "how long the origin takes before the first half of its answer, and again before the second")
	flag.Parse()
	if err := run(*n, *delay); err != nil {
		fmt.Fprintln(os.Stderr, "herd:", err)
		os.Exit(1)
	}
}

func run(n int, delay time.Duration) error {
	o := &origin{delay: delay}
	originURL, stopOrigin, err := serve(o)
	if err != nil {
		return err
	}
	defer stopOrigin()
	cfg, err := config.Parse("herd.yaml", []byte(strings.ReplaceAll(gatewayYAML, "ORIGIN", originURL)), func(string) (string, bool) { return "", false }, os.ReadFile)
	if err != nil {
		return err
	}
	g, err := proxy.New(cfg, proxy.Options{})
	if err != nil {
		return err
	}
	defer g.Close(context.Background())
	gatewayURL, stop, err := serve(g)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Printf("%d clients at once, the origin takes %v to the first byte and %v to the last\n\n", n, delay, 2*delay)
	fmt.Printf("%-34s %8s %8s %9s %12s %12s %12s\n", "", "answers", "wrong", "origin", "first byte", "first byte", "last byte")
	fmt.Printf("%-34s %8s %8s %9s %12s %12s %12s\n", "", "", "", "calls", "earliest", "p99", "p99")
	for _, c := range []struct {
		name, path string
		pause      time.Duration
	}{
		{"cold key", "/cached", 0},
		{"the same key, expired", "/cached", 3*time.Second + 2*delay},
		{"uncacheable key", "/private", 0},
	} {
		time.Sleep(c.pause)
		before := o.calls.Load()
		r := stampede(gatewayURL+c.path, n)
		fmt.Printf("%-34s %8d %8d %9d %12v %12v %12v\n", c.name, r.ok, r.wrong, o.calls.Load()-before, r.first[0].Round(time.Millisecond), p99(r.first), p99(r.last))
		if r.err != nil {
			fmt.Println("   ", r.err)
		}
	}
	return nil
}

const gatewayYAML = `
version: 1
server:
  listen: [{address: "127.0.0.1:0"}]
admin: {address: "127.0.0.1:0"}
upstreams:
  slow: {targets: ["ORIGIN"], pool: {max: 20000}, timeouts: {first_byte: 60s, idle: 60s, total: 120s}}
routes:
  - name: all
    match: {path: /*}
    upstream: slow
    cache: {enabled: true, early_refresh: 0, stale_while_revalidate: 0s}
    coalesce: {max_waiters: 20000, wait: 60s}
`

// origin answers slowly, in two halves.
type origin struct {
	delay time.Duration
	calls atomic.Int64
}

var half = []byte(strings.Repeat("the quick brown fox jumps over the lazy dog\n", 200))

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.calls.Add(1)
	time.Sleep(o.delay)
	w.Header().Set("Cache-Control", "max-age=2")
	if r.URL.Path == "/private" {
		w.Header().Set("Cache-Control", "private")
	}
	w.Write(half)
	w.(http.Flusher).Flush()
	time.Sleep(o.delay)
	w.Write(half)
}

// serve listens on a free port of the loopback interface.
func serve(h http.Handler) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	return "http://" + l.Addr().String(), func() { s.Close() }, nil
}

type result struct {
	ok, wrong   int
	first, last []time.Duration
	err         error
}

// stampede has n clients ask for url at once, each on a connection of its own that is there already.
func stampede(url string, n int) result {
	whole := sha256.Sum256(slices.Concat(half, half))
	var mu sync.Mutex
	var r result
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for range n {
		ready.Add(1)
		done.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			ready.Done()
			<-start
			begun := time.Now()
			first, sum, err := get(client, url)
			last := time.Since(begun)
			mu.Lock()
			defer mu.Unlock()
			r.first, r.last = append(r.first, first), append(r.last, last)
			switch {
			case err != nil:
				r.wrong, r.err = r.wrong+1, err
			case sum != whole:
				r.wrong++
			default:
				r.ok++
			}
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	slices.Sort(r.first)
	slices.Sort(r.last)
	return r
}

func get(client *http.Client, url string) (first time.Duration, sum [32]byte, err error) {
	begun := time.Now()
	resp, err := client.Get(url)
	if err != nil {
		return time.Since(begun), sum, err
	}
	defer resp.Body.Close()
	one := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, one); err != nil {
		return time.Since(begun), sum, err
	}
	first = time.Since(begun)
	h := sha256.New()
	h.Write(one)
	if _, err := io.Copy(h, resp.Body); err != nil {
		return first, sum, err
	}
	h.Sum(sum[:0])
	return first, sum, nil
}

func p99(d []time.Duration) time.Duration { return d[len(d)*99/100].Round(time.Millisecond) }
