package snapshot_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// TestHitsOfManyURLs: each of many URLs is stored by one request, and the second is answered by the
// connection, whatever is remembered.
func TestHitsOfManyURLs(t *testing.T) {
	var seen tally
	g, server := wiredGateway(t, 100, &seen)
	const urls = 2_000
	for i := range urls {
		warmTo(t, g, 1, fmt.Sprintf("/many/%d?n=%d", i, i))
	}
	seen = tally{}
	for i := range urls {
		client := &repeater{request: requestText(fmt.Sprintf("/many/%d?n=%d", i, i), nil), left: 1}
		conn, buf := server.Wrap(client, client).Plain(), make([]byte, 4096)
		if n, err := conn.Read(buf); err != io.EOF {
			t.Fatalf("net/http was given %q, %v", buf[:n], err)
		}
	}
	if seen.hits != urls {
		t.Errorf("the connections answered %d of %d", seen.hits, urls)
	}
}

// TestEachRequestLooksOnce: a connection that looks in vain, and the handler that looks after it,
// are one lookup, and so is the second look of who is going to ask the origin.
func TestEachRequestLooksOnce(t *testing.T) {
	o := NewOrigin(t, Text("x", "Cache-Control", "max-age=60"))
	g := Route(t, o.URL, "cache: {enabled: true}")
	for range 3 {
		g.Get("/a")
	}
	Eventually(t, "the fill to end", func() bool { return g.Fills.Load() == 1 })
	g.Get("/b")
	Eventually(t, "the fill to end", func() bool { return g.Fills.Load() == 2 })
	g.Clock.Advance(2 * time.Minute)
	g.Get("/b") // finds what is stale
	looked := make(map[string]float64)
	for _, f := range g.Metrics() {
		if f.Name == "penstock_cache_lookups_total" {
			for _, p := range f.Points {
				looked[p.Labels[1].Value] += p.Value
			}
		}
	}
	if looked["absent"] != 2 || looked["found"] != 3 {
		t.Errorf("5 requests for 2 objects: %v", looked)
	}
}

// BenchmarkLocatedHit is a hit on one of more URLs than are remembered.
func BenchmarkLocatedHit(b *testing.B) {
	var seen tally
	g, server := wiredGateway(b, 1<<10, &seen)
	const urls = 20_000
	requests := make([]string, urls)
	for i := range urls {
		path := fmt.Sprintf("/many/%d", i)
		warmTo(b, g, 1, path)
		requests[i] = requestText(path, nil)
	}
	client := &repeater{}
	conn, buf := server.Wrap(client, client).Plain(), make([]byte, 4096)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		client.request, client.left = requests[n*7919%urls], 1
		if k, err := conn.Read(buf); err != io.EOF {
			b.Fatalf("net/http was given %q, %v", buf[:k], err)
		}
	}
}
