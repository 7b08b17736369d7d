package equality

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/wire"
	"github.com/penstock/penstock/test/gatewaytest"
)

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

const gatewayYAML = `version: 1
server:
  limits: {header_bytes: 8KiB, url_bytes: 2KiB, query_params: 20, body_bytes: 64KiB}
  trusted_proxies: [10.0.0.0/8]
cache: {memory: {size: 64MiB, max_object: 1MiB}}
upstreams:
  origin: {targets: ["ORIGIN"], timeouts: {connect: 10s}}
routes:
  - name: text
    match: {path: /text/*}
    upstream: origin
    cache: {enabled: true}
    compress: {encodings: [zstd, gzip], min_size: 100, level: {gzip: 9, zstd: 19}} # the best, so that nothing is coded again
  - {name: keyed, match: {path: /keyed/*}, upstream: origin, cache: {enabled: true, key: {headers: [X-Kind]}}}
  - {name: https, match: {path: /https/*}, upstream: origin, cache: {enabled: true}, require_https: redirect}
  - {name: uncached, match: {path: /uncached/*}, upstream: origin}
  - {name: upgraded, match: {path: /upgraded/*}, upstream: origin, upgrade: websocket}
  - {name: read, match: {path: /read/*, methods: [GET, HEAD]}, upstream: origin, cache: {enabled: true}}
  - {name: got, match: {path: /got/*, methods: [GET]}, upstream: origin, cache: {enabled: true}}
  - {name: rewritten, match: {path: "/rewritten/{id}/*"}, upstream: origin, cache: {enabled: true}, rewrite: {strip_prefix: /rewritten}}
  - {name: template, match: {path: "/template/{id}/*"}, upstream: origin, cache: {enabled: true}, rewrite: {path: "/{id}/{*}"}}
  - {name: sorted, match: {path: /sorted/*}, upstream: origin, cache: {enabled: true, key: {query: {include: [x, y], sort: true}}}}
  - {name: merged, match: {path: "/merged/*"}, upstream: origin, cache: {enabled: true}, merge_slashes: true}
  - {name: cors, match: {path: "/cors/*"}, upstream: origin, cache: {enabled: true}, compress: {encodings: [zstd, gzip], min_size: 100, level: {gzip: 9, zstd: 19}}, cors: {origins: ["https://app.example.com", "https://*.example.org"], methods: [GET], expose: [Etag], credentials: true, max_age: 10m}}
  - {name: open, match: {path: "/open/*"}, upstream: origin, cache: {enabled: true}, cors: {origins: ["*"]}}
  - {name: hosted, match: {host: "*.hosted.example", path: "/a/*"}, upstream: origin, cache: {enabled: true}}
  - {name: all, match: {path: "/*"}, upstream: origin, cache: {enabled: true, key: {query: {exclude: [utm_*]}}}, headers: {response: {set: {X-By: us}}}}
`

// way is a gateway with one of the two ways of answering.
type way struct {
	gateway *proxy.Gateway
	server  *http.Server
	queue   *queue
	hits    atomic.Int64 // that the connection answered
	served  chan struct{}
}

// Finish is told of nothing that matters here.
func (*way) Finish(*observe.Event, *http.Request) {}

// Hit counts.
func (w *way) Hit(*observe.Hit) { w.hits.Add(1) }

// pair are two gateways that differ in the way of answering alone. Their clock stands still.
type pair struct {
	t           testing.TB
	wired, slow *way
	hosts       int
	lenient     bool // what was coded as it came, for a first request, may have been flushed elsewhere in the other gateway
}

func newPair(t testing.TB, edits ...string) *pair {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(origin.Close)
	yaml := strings.NewReplacer(append(edits, "ORIGIN", origin.URL)...).Replace(gatewayYAML)
	clock := gatewaytest.NewClock()
	return &pair{t: t, wired: newWay(t, yaml, clock, true), slow: newWay(t, yaml, clock, false)}
}

func newWay(t testing.TB, yaml string, clock *gatewaytest.Clock, wired bool) *way {
	t.Helper()
	cfg, err := config.Parse("gateway.yaml", []byte(yaml), os.LookupEnv, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	w := &way{queue: newQueue(), served: make(chan struct{})}
	if w.gateway, err = proxy.New(cfg, proxy.Options{Now: clock.Now, Sink: w, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	w.server = &http.Server{
		Handler: w.gateway, MaxHeaderBytes: int(cfg.Server.Limits.HeaderBytes), DisableGeneralOptionsHandler: true,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), ReadHeaderTimeout: time.Minute, ReadTimeout: time.Minute, IdleTimeout: time.Minute,
	}
	var ln net.Listener = w.queue
	hot, now := w.gateway.Wire()
	if !wired {
		hot = nil
	}
	ln = wire.Attach(w.server, hot, now).Listener(ln)
	go func() {
		defer close(w.served)
		_ = w.server.Serve(ln) // it ends by Close alone
	}()
	t.Cleanup(func() {
		w.server.Close()
		<-w.served
		if err := w.gateway.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// play has a client say pieces, and returns what it is told, when what that had the gateway fetch is stored.
func (w *way) play(t testing.TB, pieces ...[]byte) []byte {
	t.Helper()
	own := make([][]byte, len(pieces))
	for i, p := range pieces {
		own[i] = bytes.Clone(p)
	}
	s := newScript(own...)
	w.queue.conns <- s
	select {
	case <-s.closed:
	case <-time.After(patience):
		s.Close()
		t.Fatalf("the connection does not end after %q; it was told %q", pieces, s.told())
	}
	gatewaytest.Eventually(t, "all fills have ended", func() bool { return w.gateway.Filling() == 0 })
	return s.told()
}

// host is one that nothing is stored of.
func (p *pair) host() string {
	p.hosts++
	return "h" + strconv.Itoa(p.hosts) + ".example"
}

// warm has both gateways answer GETs of the paths from memory.
func (p *pair) warm(host string, paths ...string) {
	p.t.Helper()
	for _, path := range paths {
		for _, w := range []*way{p.wired, p.slow} {
			ask := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host)
			for end := time.Now().Add(patience); !bytes.Contains(w.play(p.t, ask, ask), []byte("; hit;")); {
				if time.Now().After(end) {
					p.t.Fatalf("%s is not stored: %s", path, w.play(p.t, ask))
				}
			}
			w.play(p.t, ask)
		}
	}
}

// compare has both ways answer the same, and reports the first difference.
func (p *pair) compare(pieces ...[]byte) {
	p.t.Helper()
	diff := p.differ(pieces...)
	if strings.Contains(diff, "Transfer-Encoding: chunked") {
		diff = p.differ(pieces...) // how much of a first answer that is coded as it comes is there when it is sent, is chance; now it is stored
	}
	if diff != "" {
		p.t.Errorf("after %q:\n%s", bytes.Join(pieces, []byte("|")), diff)
	}
}

func (p *pair) differ(pieces ...[]byte) string {
	p.t.Helper()
	got, want := normal(p.wired.play(p.t, pieces...)), normal(p.slow.play(p.t, pieces...))
	if bytes.Equal(got, want) || p.lenient && bytes.Equal(decoded(got), decoded(want)) {
		return ""
	}
	if at := bytes.Index(got, []byte(refusal)); at >= 0 && bytes.HasPrefix(want, got[:at]) {
		return "" // the wire refuses what net/http repairs; the hostile suite says when
	}
	return fmt.Sprintf("wired:\n%q\nslow:\n%q", got, want)
}

// refusal is how the wire's own refusals begin, which tell a reason that net/http has not.
const refusal = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request: "

// dates are those that net/http writes: the origin's are from another year.
var dates = regexp.MustCompile(`Date: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT`)

// originDate is the Date of all of the origin's answers.
const originDate = "Tue, 01 Jan 2030 00:00:00 GMT"

func normal(b []byte) []byte {
	return dates.ReplaceAllFunc(b, func(d []byte) []byte {
		if bytes.HasSuffix(d, []byte(originDate)) {
			return d
		}
		return []byte("Date: now")
	})
}

// answer is the origin: what it says follows from the request alone.
func answer(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Date", originDate)
	h.Set("Etag", `"v1"`)
	h.Set("Content-Type", "text/plain")
	h.Set("Cache-Control", "max-age=600")
	parts := strings.Split(r.URL.Path, "/")
	size, err := strconv.Atoi(parts[len(parts)-1])
	if err != nil || size < 0 {
		size = 20
	}
	size = min(size, 200_000)
	status := http.StatusOK
	switch parts[1] {
	case "gone":
		status = http.StatusGone
	case "odd":
		status = 299
	case "empty":
		status = http.StatusNoContent
	case "moved":
		status = http.StatusMovedPermanently
		h.Set("Location", "/elsewhere")
	case "language":
		h.Set("Vary", "Accept-Language, X-Kind")
		h.Set("Content-Language", r.Header.Get("Accept-Language"))
	case "forwarded":
		h.Set("Vary", "X-Forwarded-For")
	case "behind":
		h.Add("Cache-Status", "inner; hit")
		h.Add("Cache-Status", "outer; fwd=miss")
	case "untyped":
		h["Content-Type"] = nil
	case "bare":
		h.Del("Etag")
		h.Set("A-First", "1")
		h.Set("Zz-Last", "2")
		h.Set("Content-Disposition", "inline")
	case "cors", "open":
		h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		h.Set("Access-Control-Max-Age", "1")
		h.Set("A-First", "1")
		h.Set("Accept-Ranges", "bytes")
		h.Set("Zz-Last", "2")
		if len(parts) > 3 {
			h["Vary"] = []string{"X-Kind", parts[2]}
		}
	case "private", "uncached":
		h.Set("Cache-Control", "no-store")
	case "stale":
		h.Set("Cache-Control", "max-age=0")
	}
	// All that has content has a Content-Length: else the gateway's chunks would tell in which pieces it came.
	body, _ := io.ReadAll(r.Body) // a client that goes is no matter here
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		h.Set("Cache-Control", "no-store")
		text := fmt.Sprintf("%s %s %q", r.Method, r.URL.Path, body)
		h.Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = io.WriteString(w, text)
		return
	}
	if status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(size))
	}
	w.WriteHeader(status)
	if status == http.StatusNoContent || r.Method == http.MethodHead {
		return
	}
	line := fmt.Sprintf("%s %s kind=%q language=%q;", r.URL.Path, r.URL.RawQuery, r.Header.Get("X-Kind"), r.Header.Get("Accept-Language"))
	for size > 0 {
		n, _ := io.WriteString(w, line[:min(size, len(line))])
		size -= n
	}
}
