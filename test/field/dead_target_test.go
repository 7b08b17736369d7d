package field

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// deadTarget is a target that fails fast, beside two that take a while.
type deadTarget struct {
	name     string
	url      func(t *testing.T) string
	upstream string // further keys of the upstream
	answers  bool   // it takes the request before it fails, so that the client of the first ones sees that
	h2c      bool
}

var deadTargets = []deadTarget{
	{name: "no process listens", url: closedPort},
	{name: "it closes the connection at once", url: closing, answers: true},
	{name: "it closes the connection after the request", url: says(""), answers: true},
	{name: "it speaks another protocol", url: says("SSH-2.0-OpenSSH_9.2\r\n"), answers: true},
	{name: "it answers 503", url: says("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), answers: true},
	{name: "it answers 502", url: says("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), answers: true},
	{name: "it answers 500", url: says("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno"), answers: true},
	{name: "no TLS on its port", url: func(t *testing.T) string { return strings.Replace(says("what?")(t), "http:", "https:", 1) }},
	{name: "its certificate is not trusted", url: untrusted},
	{name: "its name is unknown", url: func(*testing.T) string { return "http://no-such-host.invalid:81" }},
	{name: "no process listens, over HTTP/2", url: closedPort, upstream: "protocol: h2c, ", h2c: true},
}

func closedPort(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return "http://" + ln.Addr().String()
}

// closing accepts connections and closes them.
func closing(t *testing.T) string { return rawOrigin(t, func(net.Conn) {}) }

// says answers each request with the given bytes.
func says(answer string) func(t *testing.T) string {
	return func(t *testing.T) string {
		return rawOrigin(t, func(c net.Conn) {
			for br := bufio.NewReader(c); ; {
				r, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				io.Copy(io.Discard, r.Body)
				if _, err := io.WriteString(c, answer); err != nil || answer == "" || strings.Contains(answer, "Connection: close") {
					return
				}
			}
		})
	}
}

// rawOrigin runs talk on each connection, and closes it then.
func rawOrigin(t *testing.T, talk func(c net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				talk(c)
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

func untrusted(t *testing.T) string {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// goodTarget takes a while.
func goodTarget(t *testing.T, h2c bool) string {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		time.Sleep(20 * time.Millisecond)
		io.WriteString(w, "ok"+string(body))
	}))
	if h2c {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// A client that asks while one of three targets is dead gets its answer from the others. The clock of the gateway stands, so that no trial request
// finds out whether the dead target is back.
func TestADeadTargetDoesNotCostAnswers(t *testing.T) {
	for _, dead := range deadTargets {
		for _, balance := range []string{"p2c", "round_robin", "least_conn", "hash, hash_on: path"} {
			t.Run(dead.name+"/"+balance, func(t *testing.T) {
				urls := []string{goodTarget(t, dead.h2c), dead.url(t), goodTarget(t, dead.h2c)}
				g := gatewaytest.Start(t, fmt.Sprintf("upstreams:\n  origin: {targets: [%q, %q, %q], %sbalance: %s, timeouts: {connect: 2s}}\n"+
					"routes:\n  - {name: all, match: {path: /*}, upstream: origin}\n", urls[0], urls[1], urls[2], dead.upstream, balance))
				failed := askMany(g, 12, 10)
				limit := 0
				if dead.answers {
					limit = 12 + 5 // those that were on their way when it was left out
				}
				if failed > limit {
					t.Errorf("%d of %d requests failed, want %d at most", failed, 12*10, limit)
				}
			})
		}
	}
}

// askMany has n clients send requests one after the other, each second one a POST, and counts those without the right answer.
func askMany(g *gatewaytest.Gateway, n, requests int) (failed int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for c := range n {
		all.Go(func() {
			for i := range requests {
				path := fmt.Sprint("/", c, "/", i)
				want, r := "ok", (*gatewaytest.Response)(nil)
				if i%2 == 0 {
					r = g.Get(path)
				} else {
					want += path
					r = g.Do(http.MethodPost, path, strings.NewReader(path))
				}
				if r.Err != nil || r.Status != 200 || r.Body != want {
					mu.Lock()
					failed++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return failed
}

// When the dead target is back it gets its share again.
func TestATargetThatIsBackGetsRequestsAgain(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	good := says("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")(t)
	g := gatewaytest.Start(t, "upstreams:\n  origin: {targets: [\""+good+"\", \"http://"+addr+"\"], balance: round_robin, timeouts: {connect: 2s}}\n"+
		"routes:\n  - {name: all, match: {path: /*}, upstream: origin}\n")
	for range 6 {
		if r := g.Get("/"); r.Body != "good" {
			t.Fatalf("while one target is dead: %+v", r)
		}
	}
	if ln, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "back") })}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	g.Clock.Advance(11 * time.Second)
	back := 0
	for range 10 {
		if r := g.Get("/"); r.Body == "back" {
			back++
		}
	}
	if back < 4 {
		t.Errorf("the target that is back got %d of 10 requests", back)
	}
}

// When every target is dead each of them is asked, and the client learns it at once.
func TestWhenAllTargetsAreDeadTheClientLearnsIt(t *testing.T) {
	g := gatewaytest.Start(t, fmt.Sprintf("upstreams:\n  origin: {targets: [%q, %q], timeouts: {connect: 2s}}\n"+
		"routes:\n  - {name: all, match: {path: /*}, upstream: origin}\n", closedPort(t), closedPort(t)))
	for range 3 {
		r := g.Do(http.MethodPost, "/", strings.NewReader("x"))
		if r.Status != 502 || !strings.Contains(r.Header.Get("Proxy-Status"), "connection_refused") {
			t.Fatalf("%d %v", r.Status, r.Header)
		}
		if e := g.Event(); e.Tries != 2 {
			t.Errorf("%d tries, want one at each target", e.Tries)
		}
	}
}
