package snapshot_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
)

// gatewayOf runs a route with the given keys in front of an origin that answers with body.
func gatewayOf(b *testing.B, body, keys string) *proxy.Gateway {
	b.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}))
	b.Cleanup(origin.Close)
	yaml := "version: 1\nupstreams: {o: {targets: [\"" + origin.URL + "\"]}}\nroutes:\n  - name: all\n    match: {path: /*}\n    upstream: o\n    " + keys + "\n"
	cfg, err := config.Parse("bench.yaml", []byte(yaml), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	g, err := proxy.New(cfg, proxy.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = g.Close(context.Background()) })
	return g
}

// discard is a ResponseWriter that keeps nothing but its header map, as net/http does from request
// to response.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Flush()                      {}

func benchmarkRequest(b *testing.B, g *proxy.Gateway, fields ...string) {
	r := httptest.NewRequest(http.MethodGet, "http://bench.local/h?n=1", nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	g.ServeHTTP(&discard{make(http.Header)}, r.Clone(context.Background()))
	b.ReportAllocs()
	for b.Loop() {
		g.ServeHTTP(&discard{make(http.Header, 8)}, r)
	}
}

// BenchmarkHit is what the gateway adds to net/http for a response from memory.
func BenchmarkHit(b *testing.B) {
	benchmarkRequest(b, gatewayOf(b, strings.Repeat("x", 1024), "cache: {enabled: true}"))
}

// BenchmarkHitCoded is BenchmarkHit for a client that gets a coding.
func BenchmarkHitCoded(b *testing.B) {
	g := gatewayOf(b, strings.Repeat(`{"id": 1, "name": "x"}`, 700), "cache: {enabled: true}\n    compress: {}")
	benchmarkRequest(b, g, "Accept-Encoding", "gzip, br, zstd")
}

// BenchmarkHitOverNetwork is a hit with net/http on both sides.
func BenchmarkHitOverNetwork(b *testing.B) {
	server := httptest.NewServer(gatewayOf(b, strings.Repeat("x", 1024), "cache: {enabled: true}"))
	defer server.Close()
	b.ReportAllocs()
	for b.Loop() {
		resp, err := http.Get(server.URL + "/h")
		if err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}
