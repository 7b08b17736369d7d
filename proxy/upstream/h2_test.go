package upstream

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
)

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Sum")
	w.Header().Set("X-Proto", r.Proto)
	w.Header().Set("X-Te", r.Header.Get("Te"))
	w.Header().Set("X-Ua", fmt.Sprint(r.Header["User-Agent"]))
	w.Header().Set("X-Via", r.Header.Get("Via"))
	w.Header().Set("Link", "</a>")
	w.WriteHeader(103)
	io.Copy(w, r.Body)
	w.Header().Set("X-Sum", r.Trailer.Get("X-Up"))
}

func tlsServer(t *testing.T, h2 bool, h http.HandlerFunc) (*httptest.Server, []byte) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = h2
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func h2cServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func TestProtocols(t *testing.T) {
	both, ca := tlsServer(t, true, echo)
	old, oldCA := tlsServer(t, false, echo)
	clear2 := h2cServer(t, echo)
	f := func(url string, ca []byte, p Protocol, want string) {
		t.Helper()
		c := to(url)
		c.Protocol, c.TLS.CA = p, ca
		c.Limits = Limits{Max: 2, Wait: time.Second}
		pool := newPool(t, c)
		interim := 0
		for range 2 {
			r := request("POST", "/", strings.NewReader("body"))
			r.ContentLength = -1
			r.ProtoMajor, r.ProtoMinor = 2, 0
			r.Header.Set("Te", "trailers")
			r.Trailer = http.Header{"X-Up": {"up"}}
			r = r.WithContext(WithInterim(r.Context(), func(int, http.Header) { interim++ }))
			resp, body := do(t, pool, r)
			h := resp.Header
			if body != "body" || h.Get("X-Proto") != want || h.Get("X-Te") != "trailers" || h.Get("X-Ua") != "[]" || h.Get("X-Via") != "2.0 penstock" || resp.Trailer.Get("X-Sum") != "up" {
				t.Errorf("%s over %s: %q %v %v", url, p, body, h, resp.Trailer)
			}
		}
		if interim != 2 {
			t.Errorf("%s over %s: %d interim responses", url, p, interim)
		}
		if n := pool.targets[0].endpoint.Open.Load(); n != 1 {
			t.Errorf("%s over %s: %d connections", url, p, n)
		}
	}
	f(both.URL, ca, ProtocolH1, "HTTP/1.1")
	f(both.URL, ca, ProtocolH2, "HTTP/2.0")
	f(both.URL, ca, ProtocolAuto, "HTTP/2.0")
	f(old.URL, oldCA, ProtocolAuto, "HTTP/1.1")
	f(clear2.URL, nil, ProtocolH2C, "HTTP/2.0")
	plain := origin(t, echo)
	f(plain.URL, nil, ProtocolAuto, "HTTP/1.1")
}

func TestTLSFailures(t *testing.T) {
	s, ca := tlsServer(t, false, echo)
	s.Config.ErrorLog = nil
	f := func(want fault.Kind, c Config) {
		t.Helper()
		c.Targets = []Target{{URL: s.URL}}
		p := newPool(t, c)
		if k := kindOf(t, p, request("GET", "/", nil)); k != want {
			t.Errorf("%+v: %v, want %v", c, k, want)
		}
	}
	f(fault.TLSCertificate, Config{})
	f(fault.TLSCertificate, Config{TLS: TLS{CA: ca, ServerName: "other.example"}})
	f(fault.TLSAlert, Config{Protocol: ProtocolH2, TLS: TLS{CA: ca}}) // it does not speak h2
	p := newPool(t, Config{Targets: []Target{{URL: s.URL}}, TLS: TLS{InsecureSkipVerify: true}})
	do(t, p, request("GET", "/", nil))
	p = newPool(t, Config{Targets: []Target{{URL: s.URL}}, TLS: TLS{CA: ca, ServerName: "example.com"}})
	do(t, p, request("GET", "/", nil))
}

func TestUpgradeBesideHTTP2(t *testing.T) {
	s, ca := tlsServer(t, true, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			echo(w, r)
			return
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
		w.WriteHeader(101)
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(c, "hello")
			c.Close()
		}
	})
	c := to(s.URL)
	c.Protocol, c.TLS.CA = ProtocolAuto, ca
	p := newPool(t, c)
	do(t, p, request("GET", "/", nil))
	r := request("GET", "/", nil)
	hop.AskUpgrade(r.Header, "websocket")
	if resp, body := do(t, p, r); resp.StatusCode != 101 || body != "hello" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

func TestHTTP2ManyOnOneConnection(t *testing.T) {
	s := h2cServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	c := to(s.URL)
	c.Protocol, c.Limits = ProtocolH2C, Limits{Max: 1, Wait: time.Second}
	p := newPool(t, c)
	var all sync.WaitGroup
	for i := range 80 {
		all.Go(func() {
			resp, err := p.RoundTrip(request("GET", fmt.Sprint("/", i), nil))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); string(body) != fmt.Sprint("/", i) || err != nil {
				t.Errorf("%d: %q, %v", i, body, err)
			}
		})
	}
	all.Wait()
	if n := p.targets[0].endpoint.Open.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestHTTP2Failures(t *testing.T) {
	s := h2cServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/part" {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	})
	c := to(s.URL)
	c.Protocol = ProtocolH2C
	p := newPool(t, c)
	if k := kindOf(t, p, request("GET", "/", nil)); k != fault.ConnectionTerminated {
		t.Errorf("reset before the response: %v", k)
	}
	if k := kindOf(t, p, request("GET", "/part", nil)); k != fault.ResponseIncomplete {
		t.Errorf("reset in the body: %v", k)
	}
}

func TestStockKeepsConnectionsReady(t *testing.T) {
	s := answering(t, okResponse)
	c := to(s.url)
	c.Limits = Limits{Min: 3, Max: 5}
	p := newPool(t, c)
	tg := p.targets[0]
	eventually(t, "a full stock", func() bool { return tg.endpoint.Ahead.Size() == 3 })
	do(t, p, request("GET", "/", nil))
	if _, conns := s.seen(); conns != 3 {
		t.Errorf("%d connections: the request did not take one in stock", conns)
	}
	if n := tg.endpoint.Ahead.Size(); n != 2 {
		t.Errorf("%d left in stock", n)
	}
	p.Close()
	eventually(t, "no open connection", func() bool { return tg.endpoint.Open.Load() == 0 })
}

func TestStockOverTLS(t *testing.T) {
	s, ca := tlsServer(t, true, echo)
	c := to(s.URL)
	c.Limits, c.TLS, c.Protocol = Limits{Min: 1}, TLS{CA: ca}, ProtocolAuto
	p := newPool(t, c)
	eventually(t, "a full stock", func() bool { return p.targets[0].endpoint.Ahead.Size() == 1 })
	if resp, _ := do(t, p, request("GET", "/", nil)); resp.Header.Get("X-Proto") != "HTTP/2.0" {
		t.Errorf("%v", resp.Header)
	}
	if p.targets[0].endpoint.Ahead.Size() != 0 {
		t.Error("the request did not take the connection in stock")
	}
}

// A connection that the target closed while it was in stock is not handed out, or, where that can't be seen, costs nothing but a second try.
func TestStockOfDeadConnections(t *testing.T) {
	s := serve(t, func(s *script, c net.Conn, br *bufio.Reader) {
		s.mu.Lock()
		first := s.conns <= 2
		s.mu.Unlock()
		if first {
			return
		}
		s.head(br)
		io.WriteString(c, okResponse)
	})
	c := to(s.url)
	c.Limits = Limits{Min: 2}
	p := newPool(t, c)
	eventually(t, "two dead connections", func() bool { _, n := s.seen(); return n >= 2 })
	do(t, p, request("GET", "/", nil))
}

func TestStockGivesUpWhileTargetIsDown(t *testing.T) {
	c := to("http://127.0.0.1:1")
	c.Limits = Limits{Min: 2}
	p := newPool(t, c)
	if k := kindOf(t, p, request("GET", "/", nil)); k != fault.ConnectionRefused {
		t.Errorf("kind %v", k)
	}
}
