package snapshot_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/proxy/observe"
)

// TestLimitedHits: on every protocol a client gets exactly its burst, nearly all of it from the
// connection, and then 429, while other clients go on.
func TestLimitedHits(t *testing.T) {
	const burst = 40
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			hits := new(wireHits)
			g := guardedGateway(t, hits, fmt.Sprintf("rate_limit: {rate: 1/h, burst: %d}, allow: {deny_ips: [192.0.2.66]}", burst))
			client, url := serveWired(t, g, protocol)
			get := func(ip string) int {
				hits.pending.Add(1)
				status, _ := forwardedFor(t, client, http.MethodGet, url+"/a?n=1", ip)
				return status
			}
			for _, ip := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
				before := hits.wire.Load()
				for i := range burst {
					if got := get(ip); got != http.StatusOK {
						t.Fatalf("request %d of %s gets %d", i, ip, got)
					}
				}
				if hits.pending.Wait(); hits.wire.Load()-before < burst-5 {
					t.Errorf("connections answered %d of %d requests", hits.wire.Load()-before, burst)
				}
			}
			before := hits.wire.Load()
			for _, ip := range []string{"192.0.2.1", "::ffff:192.0.2.2", "2001:db8::2:1"} {
				for range 3 {
					if got := get(ip); got != http.StatusTooManyRequests {
						t.Errorf("%s gets %d beyond its limit", ip, got)
					}
				}
			}
			if hits.pending.Wait(); hits.wire.Load() != before {
				t.Error("connections answered requests beyond the limit")
			}
			checkCount(t, g, "rate_limit", "exceeded", 9)
			if get("192.0.2.66") != http.StatusForbidden || get("192.0.2.3") != http.StatusOK {
				t.Error("other clients do not get their responses")
			}
		})
	}
}

// checkCount compares the number of refusals by a stage for a reason.
func checkCount(t *testing.T, g *proxy.Gateway, stage, reason string, want float64) {
	t.Helper()
	got := 0.0
	for _, family := range g.Metrics() {
		for _, p := range family.Points {
			if labels := fmt.Sprint(p.Labels); family.Name == "penstock_refusals_total" && strings.Contains(labels, stage) && strings.Contains(labels, reason) {
				got += p.Value
			}
		}
	}
	if got != want {
		t.Errorf("%v refusals by %s are counted as %s, not %v", got, stage, reason, want)
	}
}

// TestReportedHits: with mode: report connections answer hits within the limit, the handler the
// others, and all pass.
func TestReportedHits(t *testing.T) {
	hits := new(wireHits)
	g := guardedGateway(t, hits, "rate_limit: {rate: 1/h, burst: 20, by: route, mode: report}")
	client, url := serveWired(t, g, "HTTP/1.1")
	for range 30 {
		hits.pending.Add(1)
		if status, _ := forwardedFor(t, client, http.MethodGet, url+"/a", ""); status != http.StatusOK {
			t.Fatalf("%d", status)
		}
	}
	if hits.pending.Wait(); hits.wire.Load() < 10 || hits.wire.Load() > 20 {
		t.Errorf("connections answered %d requests", hits.wire.Load())
	}
	checkCount(t, g, "rate_limit", "reported", 10)
}

// reloadable is a gateway whose only route gets other keys by a reload. Its origin answers with so
// many bytes.
type reloadable struct {
	*proxy.Gateway
	origin string
}

func newReloadable(t *testing.T, sink observe.Sink, size int, keys string) *reloadable {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("Content-Type", "image/png")
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	}))
	t.Cleanup(origin.Close)
	r := &reloadable{origin: origin.URL}
	var err error
	if r.Gateway, err = proxy.New(r.parse(t, keys), proxy.Options{Sink: sink, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

func (r *reloadable) parse(t *testing.T, keys string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("t.yaml", []byte("version: 1\nupstreams: {o: {targets: [\""+r.origin+"\"]}}\n"+
		"routes: [{match: {path: \"/*\"}, upstream: o, cache: {enabled: true}, "+keys+"}]\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestReloadKeepsCounts: a client that has used up its limit gets nothing by a reload, and a changed
// limit goes on with the same counts. Another `by` or another route begins anew.
func TestReloadKeepsCounts(t *testing.T) {
	g := newReloadable(t, nil, 10, "name: all, rate_limit: {rate: 1/h, burst: 5}")
	client, url := serveWired(t, g.Gateway, "HTTP/1.1")
	accepted := func() (n int) {
		for range 20 {
			if status, _ := forwardedFor(t, client, http.MethodGet, url+"/a", ""); status == http.StatusOK {
				n++
			}
		}
		return n
	}
	if n := accepted(); n != 5 {
		t.Fatalf("%d accepted", n)
	}
	for _, c := range []struct {
		keys string
		want int
	}{
		{"name: all, rate_limit: {rate: 1/h, burst: 5}", 0},
		{"name: all, rate_limit: {rate: 1/h, burst: 8}", 3},
		{"name: all, rate_limit: {rate: 2/h, burst: 8, mode: enforce}", 0}, // eight hours of waiting, cut to four
		{"name: all, rate_limit: {rate: 2/h, burst: 8, by: route}", 8},
		{"name: other, rate_limit: {rate: 2/h, burst: 8, by: route}", 8},
		{"name: other", 20},
	} {
		if err := g.Apply(g.parse(t, c.keys)); err != nil {
			t.Fatal(err)
		}
		if n := accepted(); n != c.want {
			t.Errorf("%s: %d accepted, not %d", c.keys, n, c.want)
		}
	}
}

// TestLargeHitIsChargedOnce: over HTTP/2 the connection finds a hit that is too large for it, and
// the handler answers. The client is charged for one request.
func TestLargeHitIsChargedOnce(t *testing.T) {
	hits := new(wireHits)
	g := newReloadable(t, hits, 100<<10, "name: all, rate_limit: {rate: 1/h, burst: 20}")
	client, url := serveWired(t, g.Gateway, "HTTP/2")
	accepted := 0
	for range 30 {
		hits.pending.Add(1)
		if status, body := forwardedFor(t, client, http.MethodGet, url+"/a", ""); status == http.StatusOK && len(body) == 100<<10 {
			accepted++
		}
	}
	if hits.pending.Wait(); hits.wire.Load() > 0 {
		t.Error("the connection answers large hits, so this test shows nothing")
	}
	if accepted != 20 {
		t.Errorf("%d requests accepted, not 20", accepted)
	}
}

// TestLimitByFieldOfConnections: connections and handlers see the same clients.
func TestLimitByFieldOfConnections(t *testing.T) {
	for _, protocol := range protocols {
		g := guardedGateway(t, nil, `rate_limit: {rate: 1/h, burst: 10, by: "header:x-user"}, allow: {ips: [127.0.0.0/8]}`)
		client, url := serveWired(t, g, protocol)
		for _, user := range []string{"a", "b", ""} {
			accepted := 0
			var fields []string
			if user != "" {
				fields = []string{"X-User", user}
			}
			for range 20 {
				if status, _, _ := asked(t, client, http.MethodGet, url+"/a", fields...); status == http.StatusOK {
					accepted++
				}
			}
			if accepted != 10 {
				t.Errorf("%s: user %q: %d accepted", protocol, user, accepted)
			}
		}
	}
}

// TestExplainTellsTheRestOfALimit: an explanation charges nothing.
func TestExplainTellsTheRestOfALimit(t *testing.T) {
	g := guardedGateway(t, nil, "rate_limit: {rate: 1/h, burst: 3}")
	client, url := serveWired(t, g, "HTTP/1.1")
	for left := 3; left >= 0; left-- {
		for range 2 {
			e, err := g.Explain(t.Context(), explain.Question{URL: "http://example.com/a", From: "192.0.2.1"})
			if err != nil {
				t.Fatal(err)
			}
			switch want := fmt.Sprintf("rate_limit: the client 192.0.2.1: %d of 3 requests left", left); {
			case left > 0 && (e.Refused != nil || len(e.Notes) != 1 || e.Notes[0] != want):
				t.Errorf("%q, refused: %+v; want %q", e.Notes, e.Refused, want)
			case left == 0 && (e.Refused == nil || e.Refused.Status != http.StatusTooManyRequests || !strings.Contains(e.Refused.Why, "the client 192.0.2.1: no request left")):
				t.Errorf("refused: %+v", e.Refused)
			}
		}
		forwardedFor(t, client, http.MethodGet, url+"/a", "192.0.2.1")
	}
}
