package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// nobody is the URL of a port on which nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return "http://" + ln.Addr().String()
}

// A request that a target refused to be connected for goes to the next one with its whole body, over every protocol and in every form.
func TestRefusedRequestsGoOn(t *testing.T) {
	both, ca := tlsServer(t, true, echo)
	clear2, plain := h2cServer(t, echo), origin(t, echo)
	f := func(name, url string, protocol Protocol, change func(*http.Request)) {
		t.Helper()
		dead := nobody(t)
		if strings.HasPrefix(url, "https") {
			dead = strings.Replace(dead, "http", "https", 1)
		}
		c := to(dead, dead+"/other", url)
		c.Protocol, c.TLS.CA, c.Balance = protocol, ca, BalanceRoundRobin
		p := newPool(t, c)
		var closed atomic.Bool
		r, ev := withEvent(request("POST", "/", nil))
		r.Body, r.ContentLength = &closeTeller{strings.NewReader("body"), &closed}, 4
		change(r)
		resp, body := do(t, p, r)
		if resp.StatusCode != 200 || body != "body" || ev.Tries < 2 || ev.Target != p.targets[2].Name || ev.Err != nil {
			t.Errorf("%s: %d %q, %d tries, the last at %s (%v)", name, resp.StatusCode, body, ev.Tries, ev.Target, ev.Err)
		}
		eventually(t, name+": the body is closed", closed.Load)
	}
	for name, change := range map[string]func(*http.Request){
		"of a known length":   func(*http.Request) {},
		"of an unknown one":   func(r *http.Request) { r.ContentLength = -1 },
		"asking for leave":    func(r *http.Request) { r.Header.Set("Expect", "100-continue") },
		"with trailer fields": func(r *http.Request) { r.ContentLength, r.Trailer = -1, http.Header{"X-Up": {"up"}} },
	} {
		f("HTTP/1.1, body "+name, plain.URL, ProtocolH1, change)
		f("HTTP/1.1 over TLS, body "+name, both.URL, ProtocolH1, change)
		f("HTTP/2, body "+name, both.URL, ProtocolH2, change)
		f("h2c, body "+name, clear2.URL, ProtocolH2C, change)
		f("auto, body "+name, both.URL, ProtocolAuto, change)
	}
}

type closeTeller struct {
	io.Reader
	closed *atomic.Bool
}

func (c *closeTeller) Close() error { c.closed.Store(true); return nil }

// If no target is left, the request fails once and its body is closed.
func TestAllTargetsRefuse(t *testing.T) {
	for _, protocol := range []Protocol{ProtocolH1, ProtocolH2C} {
		c := to(nobody(t), nobody(t))
		c.Protocol = protocol
		p := newPool(t, c)
		for range 3 {
			closed := false
			r, ev := withEvent(request("POST", "/", nil))
			r.Body, r.ContentLength = &closer{strings.NewReader("body"), &closed}, 4
			if k := kindOf(t, p, r); k != fault.ConnectionRefused || ev.Tries != 2 || !closed {
				t.Errorf("%s: kind %v after %d tries, body closed: %v", protocol, k, ev.Tries, closed)
			}
		}
		if p.InFlight() != 0 {
			t.Error("still in flight")
		}
	}
}

// timeouts.total bounds the tries at all targets together.
func TestTriesAtAllTargetsAreBoundedTogether(t *testing.T) {
	silent := serve(t, func(s *script, c net.Conn, _ *bufio.Reader) { io.Copy(io.Discard, c) })
	for _, protocol := range []Protocol{ProtocolH1, ProtocolAuto} {
		url := "https" + strings.TrimPrefix(silent.url, "http")
		c := to(url, url+"/b", url+"/c", url+"/d")
		c.Protocol = protocol
		c.Timeouts = Timeouts{Connect: 10 * time.Second, Total: 50 * time.Millisecond}
		p := newPool(t, c)
		r, ev := withEvent(request("GET", "/", nil))
		if k := kindOf(t, p, r); k != fault.ResponseTimeout || ev.Tries != 1 {
			t.Errorf("%v after %d tries", k, ev.Tries)
		}
	}
}

// A client that left is no reason to ask another target.
func TestACancelledRequestDoesNotGoOn(t *testing.T) {
	c := to(nobody(t), nobody(t))
	p := newPool(t, c)
	ctx, cancel := cancelled(t.Context(), time.Hour)
	cancel()
	r, ev := withEvent(request("GET", "/", nil).WithContext(ctx))
	if _, err := p.RoundTrip(r); !errors.Is(err, ctx.Err()) || ev.Tries != 1 {
		t.Errorf("%v after %d tries", err, ev.Tries)
	}
	for _, tg := range p.targets {
		if tg.health.load() != (standing{}) {
			t.Error("it counts against the target")
		}
	}
}

// A pool that takes the place of another knows what that one knew about the targets that stay, and still learns from the requests of both.
func TestStandingsOutliveAReload(t *testing.T) {
	dead, good := nobody(t), answering(t, okResponse).url
	now := at(0)
	clock := func() time.Time { return now }
	open := func(c Config, before *Pool) *Pool {
		t.Helper()
		p, err := Open(c, Env{Now: clock, Before: before})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		return p
	}
	c := to(good, dead)
	c.Balance = BalanceRoundRobin
	first := open(c, nil)
	do(t, first, request("GET", "/", nil))
	do(t, first, request("GET", "/", nil))
	c.Timeouts.Idle, c.Targets = time.Minute, []Target{{URL: dead}, {URL: good, Weight: 2}}
	second := open(c, first)
	tries := func(p *Pool) (n uint64) {
		for _, tg := range p.targets {
			n += tg.tries.Load()
		}
		return n
	}
	for range 6 {
		do(t, second, request("GET", "/", nil))
	}
	if n := tries(second); n != 6 {
		t.Errorf("%d tries for 6 requests: the dead target was asked again", n)
	}
	now = at(1)
	for range 6 {
		do(t, second, request("GET", "/", nil))
	}
	if n := tries(second); n != 13 {
		t.Errorf("%d tries for 12 requests, want one at the dead target", n)
	}
	c.Protocol = ProtocolAuto // another way to the same targets: what failed may work now
	if third := open(c, second); third.targets[0].health.load() != (standing{}) {
		t.Error("a target that is reached in another way is left out")
	}
}
