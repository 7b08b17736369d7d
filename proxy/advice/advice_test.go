package advice

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

func TestDistinct(t *testing.T) {
	for _, n := range []int{1, 5, 50, 500, 5000, 100_000} {
		var d distinct
		for i := range n {
			for range 3 {
				d.add(hash(0, fmt.Sprint("thing ", i)))
			}
		}
		if got := d.count(); math.Abs(got-float64(n)) > 0.2*float64(n)+0.5 {
			t.Errorf("%d things are counted as %.1f", n, got)
		}
	}
}

// TestGhostEstimates compares the sampled caches with whole caches of the same sizes.
func TestGhostEstimates(t *testing.T) {
	const objects, size, uses = 60_000, 8 << 10, 400_000
	room := int64(objects / 8 * size) // 60 MiB, so that one key in eight is sampled
	g := NewGhost(room)
	if g.mask == 0 {
		t.Fatal("nothing is sampled")
	}
	whole := &Ghost{}
	for i, s := range []int64{room / 2, room, 2 * room} {
		whole.sizes[i] = newShadow(s)
	}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.05, 20, objects-1)
	for range uses {
		key := mix(zipf.Uint64() + 1)
		g.Use(key, size)
		whole.Use(key, size)
	}
	h1, s1, d1, n := g.Ratios(uses)
	h2, s2, d2, _ := whole.Ratios(uses)
	t.Logf("half %.3f of %.3f, same %.3f of %.3f, double %.3f of %.3f, by %d of %d uses", h1, h2, s1, s2, d1, d2, n, uses)
	for _, c := range [][2]float64{{h1, h2}, {s1, s2}, {d1, d2}, {d1 - s1, d2 - s2}, {s1 - h1, s2 - h2}} {
		if math.Abs(c[0]-c[1]) > 0.03 {
			t.Errorf("estimated %.3f, is %.3f", c[0], c[1])
		}
	}
	for i := range g.sizes {
		if s := &g.sizes[i]; s.used > s.room || int64(len(s.held)) > s.room/minObject {
			t.Errorf("%d bytes and %d entries in room for %d", s.used, len(s.held), s.room)
		}
	}
}

// TestSinkDoesNotAllocate checks that a hit costs one comparison, and that a request outside the
// sample costs almost nothing.
func TestSinkDoesNotAllocate(t *testing.T) {
	c := NewCollector(1 << 30)
	c.Declare([]Route{{Name: "r", Cached: true}})
	h := &observe.Hit{Route: "r", Key: 1, BytesOut: 1000}
	if n := testing.AllocsPerRun(1000, func() { c.Hit(h) }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
	r := httptest.NewRequest(http.MethodGet, "/a", nil)
	e := &observe.Event{Route: "r", Key: 1, Hit: true, Cache: observe.CacheHit, Status: 404}
	if n := testing.AllocsPerRun(1000, func() { c.Finish(e, r) }); n != 0 {
		t.Errorf("a request allocates %v times", n)
	}
}

func BenchmarkHit(b *testing.B) {
	c := NewCollector(1 << 30)
	h := &observe.Hit{Route: "r", Key: 1, BytesOut: 1000}
	b.ReportAllocs()
	for b.Loop() {
		c.Hit(h)
	}
}

func BenchmarkFinish(b *testing.B) {
	c := NewCollector(1 << 30)
	c.Declare([]Route{{Name: "r", Cached: true, Param: true}})
	r := httptest.NewRequest(http.MethodGet, "/a?b=1&c=2", nil)
	e := &observe.Event{Route: "r", Key: 1, Hit: true, Cache: observe.CacheHit, Status: 200, ContentType: "text/html", ClientIP: netip.MustParseAddr("10.0.0.1")}
	b.ReportAllocs()
	for b.Loop() {
		e.Start = e.Start.Add(time.Second)
		c.Finish(e, r)
	}
}

// TestEvidenceIsBounded checks that clients cannot make the evidence grow beyond its bounds.
func TestEvidenceIsBounded(t *testing.T) {
	c := NewCollector(1 << 20)
	c.Declare([]Route{{Name: "r", Cached: true, Param: true}})
	for i := range 20_000 {
		r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/%d?p%d=%d&q=%d", i, i, i, i), nil)
		c.Finish(&observe.Event{
			Route: "r", Status: 200, Key: mix(uint64(i)), Stored: true, Cache: observe.CacheMiss, ContentType: fmt.Sprint("text/x-", i), BytesOut: int64(i),
			Upstream: fmt.Sprint(i), OriginRequests: 1, FirstByte: time.Second, ClientIP: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}),
		}, r)
	}
	e := c.Read(observe.Reading{})
	r := e.Routes[0]
	if len(r.Params) > maxParams || len(r.Types) > maxTypes+1 || len(e.Upstreams) > maxNames || len(r.Reasons) > 0 {
		t.Errorf("%d parameters, %d types, %d upstreams", len(r.Params), len(r.Types), len(e.Upstreams))
	}
}

// TestBursts checks that quick reads of different objects by one client form a burst, and that
// repeated or slow reads do not.
func TestBursts(t *testing.T) {
	var b bursts
	r := &routeEvidence{}
	at := time.Unix(0, 0)
	ask := func(client byte, path string, gap time.Duration) uint64 {
		at = at.Add(gap)
		_, n := b.note(netip.AddrFrom4([4]byte{10, 0, 0, client}), r, path, at)
		return n
	}
	for i := range 7 {
		ask(1, fmt.Sprint("/", i), time.Millisecond)
	}
	if n := ask(1, "/x", time.Second); n != 7 {
		t.Errorf("a burst of 7 counts as %d", n)
	}
	for range 7 {
		ask(2, "/same", time.Millisecond)
	}
	for i := range 7 {
		if n := ask(2, fmt.Sprint("/", i), 20*time.Millisecond); n != 0 {
			t.Errorf("separate requests count as a burst of %d", n)
		}
	}
}

func TestAdviseMemory(t *testing.T) {
	for _, c := range []struct {
		m    MemoryEvidence
		want string
	}{
		{MemoryEvidence{Size: 256 << 20, Half: 0.5, Same: 0.6, Double: 0.7, Uses: 5000, Evicts: true}, "512MiB"},
		{MemoryEvidence{Size: 256 << 20, Half: 0.7, Same: 0.7, Double: 0.7, Uses: 5000}, "128MiB"},
		{MemoryEvidence{Size: 256 << 20, Half: 0.65, Same: 0.7, Double: 0.71, Uses: 5000, Evicts: true}, ""},
		{MemoryEvidence{Size: 256 << 20, Half: 0.5, Same: 0.6, Double: 0.7, Uses: 50, Evicts: true}, ""},
	} {
		got := Advise(&Evidence{Memory: c.m})
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0].YAML, c.want)) {
			t.Errorf("%+v: %+v, want %q", c.m, got, c.want)
		}
	}
}

func TestAdviseInstancesAndUpstreams(t *testing.T) {
	for _, c := range []struct {
		i    InstanceEvidence
		want string
	}{
		{InstanceEvidence{Processors: 4, Busy: 0.8}, "add instances"}, {InstanceEvidence{Processors: 4, Busy: 0.01}, "fewer"}, {InstanceEvidence{Processors: 4, Busy: 0.3}, ""},
		{InstanceEvidence{Processors: 1, Busy: 0.3, Memory: 95, Limit: 100}, "more memory"},
	} {
		got := Advise(&Evidence{Instance: c.i, Since: time.Hour})
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0].Advice, c.want)) {
			t.Errorf("%+v: %+v, want %q", c.i, got, c.want)
		}
	}
	var h observe.Histogram
	for i := range 1000 {
		d := 10 * time.Millisecond
		if i%50 == 0 {
			d = 2 * time.Second
		}
		h.Observe(d)
	}
	got := Advise(&Evidence{Upstreams: map[string]observe.Histogram{"slow": h}})
	if len(got) != 1 || got[0].Kind != "slow" || !strings.Contains(got[0].YAML, "first_byte: 4s") || !strings.Contains(got[0].Caution, "hedging") {
		t.Errorf("%+v", got)
	}
}
