package field

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// A response that is stale by the gateway's own rules goes out with an age at which no cache behind takes it for fresh.
func TestStaleByOwnRulesIsNotFreshBehind(t *testing.T) {
	const windows = ", stale-while-revalidate=600"
	soft := func(g *gatewaytest.Gateway, t *testing.T) { purge(t, g, `{"all": true, "soft": true}`) }
	wait := func(d time.Duration) func(*gatewaytest.Gateway, *testing.T) {
		return func(g *gatewaytest.Gateway, _ *testing.T) { g.Clock.Advance(d) }
	}
	cases := []struct {
		name, route, control string
		expires              bool
		end                  func(*gatewaytest.Gateway, *testing.T)
		method               string
		want                 int
	}{
		{"soft purge", "cache: {enabled: true}", "max-age=300" + windows, false, soft, "GET", 300},
		{"soft purge, HEAD", "cache: {enabled: true}", "max-age=300" + windows, false, soft, "HEAD", 300},
		{"soft purge, s-maxage", "cache: {enabled: true}", "max-age=10, s-maxage=900" + windows, false, soft, "GET", 900},
		{"soft purge, Expires", "cache: {enabled: true, stale_while_revalidate: 600s}", "", true, soft, "GET", 3600},
		{"ttl.max", "cache: {enabled: true, ttl: {max: 10s}}", "max-age=300" + windows, false, wait(11 * time.Second), "GET", 300},
		{"a cache_control rule", "cache: {enabled: true}\ncache_control: [{set: \"max-age=500" + windows + "\", mode: override}]", "max-age=1", false, soft, "GET", 500},
		{"stale by its age", "cache: {enabled: true}", "max-age=10" + windows, false, wait(20 * time.Second), "GET", 20},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := (*gatewaytest.Gateway)(nil)
			origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				if c.control != "" {
					w.Header().Set("Cache-Control", c.control)
				}
				if c.expires {
					w.Header().Set("Date", g.Clock.Now().UTC().Format(http.TimeFormat))
					w.Header().Set("Expires", g.Clock.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
				}
				_, _ = w.Write([]byte("text"))
			})
			g = gatewaytest.Route(t, origin.URL, c.route)
			g.Get("/p")
			c.end(g, t)
			r := g.Do(c.method, "/p", nil)
			if age, err := strconv.Atoi(r.Header.Get("Age")); err != nil || age < c.want || !r.Hit() {
				t.Errorf("Age: %s beside Cache-Control: %s (%s), want at least %d", r.Header.Get("Age"), r.Header.Get("Cache-Control"), r.Header.Get("Cache-Status"), c.want)
			}
		})
	}
}

// Of two gateways in a row, the one in front does not take for fresh what the one behind it serves stale.
func TestSoftPurgeThroughTwoGateways(t *testing.T) {
	var version atomic.Int64
	version.Store(1)
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300, stale-while-revalidate=600")
		_, _ = w.Write([]byte("v" + strconv.FormatInt(version.Load(), 10)))
	})
	x := gatewaytest.Route(t, origin.URL, "cache: {enabled: true}")
	y := gatewaytest.Route(t, "http://"+x.Addr, "cache: {enabled: true}")
	if r := y.Get("/p"); r.Body != "v1" {
		t.Fatal(r)
	}
	version.Store(2)
	purge(t, x, `{"all": true, "soft": true}`)
	purge(t, y, `{"all": true, "soft": true}`)
	gatewaytest.Eventually(t, "the second version comes through both", func() bool { return y.Get("/p").Body == "v2" })
}
