package proxy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/board"
	"github.com/penstock/penstock/proxy/cost"
)

// reckoned starts a gateway in front of an origin whose answers are a thousand bytes, fresh for a minute.
func reckoned(t *testing.T, extra string) *Gateway {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Write(make([]byte, 1000))
	}))
	t.Cleanup(origin.Close)
	cfg, err := config.Parse("t.yaml", []byte(`
version: 1
upstreams: {o: {targets: ["`+origin.URL+`"]}}
routes: [{name: all, match: {path: /*}, upstream: o, cache: {enabled: true}}]
`+extra), func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close(t.Context()) })
	return g
}

// ask reads JSON of the admin API.
func ask(t *testing.T, h http.Handler, path string, into any) int {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "localhost"
	h.ServeHTTP(w, r)
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, w.Body)
		}
	}
	return w.Code
}

// TestCostOfRequests: one fill and 99 hits of a thousand bytes, at prices that make a cent of a thousand bytes.
func TestCostOfRequests(t *testing.T) {
	g := reckoned(t, `cost: {egress_per_gb: 10000, origin_per_gb: 10000, origin_per_million_requests: 1000000, file: "`+filepath.Join(t.TempDir(), "cost.json")+`"}`)
	for range 100 {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://example.com/a", nil))
		if w.Code != http.StatusOK || w.Body.Len() != 1000 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	var r cost.Report
	admin := g.Admin("", nil)
	if code := ask(t, admin, "/api/cost", &r); code != http.StatusOK {
		t.Fatal(code)
	}
	if !r.Configured || r.Total.Spent.Amount != "2.01" || r.Total.Saved.Amount != "99.99" && r.Total.Saved.Amount != "99.00" {
		t.Errorf("%+v", r.Total)
	}
	if r.Total.OriginRequests != 1 || r.Total.OriginRequestsAvoided != 99 || r.Total.BytesSavedByCache != 99_000 || r.Total.SavedOriginBytes.Amount != "0.99" {
		t.Errorf("%+v", r.Total)
	}
	if code := ask(t, admin, "/api/cost?month=2020-01", &r); code != http.StatusOK || r.Total.Requests != 0 {
		t.Errorf("%d %+v", code, r.Total)
	}
	if code := ask(t, admin, "/api/cost?month=x", nil); code != http.StatusBadRequest {
		t.Error(code)
	}
}

// TestBoardAPI: what the gateway did is what the board shows, behind the token, and the page is there for those who have none yet.
func TestBoardAPI(t *testing.T) {
	g := reckoned(t, "")
	admin := g.Admin("secret", nil)
	for path, want := range map[string]int{
		"/api/stats": 401, "/api/cost": 401, "/api/slow": 401, "/api/stats/stream": 401, "/api/x": 401, "/": 200, "/board/app.js": 200, "/board/x.js": 404, "/x": 404,
	} {
		if got := ask(t, admin, path, nil); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	open := g.Admin("", nil)
	var c cost.Report
	if ask(t, open, "/api/cost", &c); c.Configured || c.Hint == "" {
		t.Errorf("%+v", c)
	}
	var s board.Stats
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://example.com/a", nil))
	ask(t, open, "/api/stats", &s)
	if len(s.Upstreams) != 1 || s.Upstreams[0].Targets[0].Requests != 1 || s.Upstreams[0].Targets[0].State != "up" || len(s.Tiers) != 1 || s.Tiers[0].Objects != 1 {
		t.Errorf("%+v", s)
	}
}

// TestAccountFollowsReload: prices change in place, and the account goes and comes with its part of the configuration.
func TestAccountFollowsReload(t *testing.T) {
	g := reckoned(t, `cost: {origin_per_million_requests: 1000000}`)
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://example.com/a", nil))
	for end := time.Now().Add(10 * time.Second); g.Cost().Total.Spent.Amount != "1.00"; time.Sleep(time.Millisecond) { // the fill may outlast its client
		if time.Now().After(end) {
			t.Fatalf("spent %s", g.Cost().Total.Spent.Amount)
		}
	}
	apply := func(c *config.Cost) {
		t.Helper()
		cfg, err := config.Parse("t.yaml", []byte("upstreams: {o: {targets: ['http://127.0.0.1:1']}}\nroutes: [{name: all, match: {path: /*}, upstream: o}]\n"), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Cost = c
		if err := g.Apply(cfg); err != nil {
			t.Fatal(err)
		}
	}
	apply(&config.Cost{Currency: "EUR", OriginPerMillionRequests: 3_000_000_000_000})
	if r := g.Cost(); r.Total.Spent.Amount != "3.00" || r.Currency != "EUR" {
		t.Errorf("%+v", r.Total)
	}
	apply(nil)
	if g.Cost().Configured {
		t.Error("the account goes on")
	}
	apply(&config.Cost{Currency: "EUR", OriginPerMillionRequests: 1})
	if r := g.Cost(); !r.Configured || r.Total.Requests != 0 {
		t.Errorf("%+v", r)
	}
}
