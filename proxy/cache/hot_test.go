package cache_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// TestEarlyRefreshIsDrawnOnce: a connection that draws a refresh hands the request over, and the handler goes by that draw. Were it to draw again,
// refreshes would be as rare as two such draws in a row.
func TestEarlyRefreshIsDrawnOnce(t *testing.T) {
	var g *gatewaytest.Gateway
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		if g != nil {
			g.Clock.Advance(5 * time.Second) // what the fill takes
		}
		w.Header().Set("Cache-Control", "max-age=600")
	})
	g = gatewaytest.Route(t, origin.URL, "cache: {enabled: true, early_refresh: 100}")
	g.Get("/a")
	g.Event()
	refreshed := 0
	for range 400 {
		g.Get("/a")
		switch e := g.Event(); {
		case e.RawTarget == "": // the connection answered
		case strings.Contains(e.Reason, "early"):
			refreshed++
			gatewaytest.Eventually(t, "the refresh has ended", func() bool { return g.Filling() == 0 }) // else it may end between the draw and the handler
		case g.Hits.Load() > 0:
			t.Fatalf("handed over, and then %s for %q", e.Action, e.Reason)
		}
	}
	if refreshed == 0 || g.Hits.Load() == 0 {
		t.Errorf("%d refreshes, %d hits on connections", refreshed, g.Hits.Load())
	}
}

// TestPurgeReachesConnections: what a connection would answer is judged each time.
func TestPurgeReachesConnections(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Surrogate-Key", "k")
	})
	g := gatewaytest.Route(t, origin.URL, "cache: {enabled: true}")
	ask := func() (hit, byConnection bool) {
		r := g.Get("/a")
		return r.Hit(), g.Event().RawTarget == ""
	}
	for range 3 {
		for range 4 {
			ask()
		}
		if hit, byConnection := ask(); !hit || !byConnection {
			t.Fatalf("hit: %t, by the connection: %t", hit, byConnection)
		}
		g.Purge(t, "k")
		if hit, _ := ask(); hit {
			t.Fatal("a hit after a purge")
		}
	}
	g.Get("/a")
	g.Clock.Advance(time.Hour)
	if g.Get("/a").Hit() {
		t.Error("a stale response is a hit")
	}
}
