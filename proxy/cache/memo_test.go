package cache

import (
	"fmt"
	"testing"

	"github.com/penstock/penstock/cachepolicy"
)

// TestMemoHoldsWhatIsUsed against any number of other requests, and stays in its bounds.
func TestMemoHoldsWhatIsUsed(t *testing.T) {
	const most = 256 << 10
	m := new(Cache).NewMemo(most)
	res := new(Resource)
	hot := func(i int) string { return fmt.Sprintf("/hot/%d", i) }
	const hots = 50
	for i := range hots {
		m.remember("http", "h", hot(i), "h", res, cachepolicy.Key{})
	}
	for i := range 200_000 {
		m.remember("http", "h", fmt.Sprintf("/a?utm_source=%d", i), "h", res, cachepolicy.Key{})
		if i%20 == 0 {
			if r := m.find("http", "h", hot(i/20%hots)); r != nil {
				r.touch()
			}
		}
		if n := m.bytes.Load(); n > most {
			t.Fatalf("%d bytes of %d after %d requests", n, most, i)
		}
	}
	lost := 0
	for i := range hots {
		if m.find("http", "h", hot(i)) == nil {
			lost++
		}
	}
	if lost > hots/10 {
		t.Errorf("%d of %d were pushed out though they were used", lost, hots)
	}
	for i := range 100_000 { // nothing else is used any more
		m.remember("http", "h", fmt.Sprintf("/b?utm_source=%d", i), "h", res, cachepolicy.Key{})
	}
	for i := range hots {
		if m.find("http", "h", hot(i)) != nil {
			lost++
		}
	}
	if lost > hots/5 {
		t.Errorf("%d of %d stay for ever", lost, hots)
	}
}

// TestMemoTellsRequestsApart by each byte of host and target, and by the scheme.
func TestMemoTellsRequestsApart(t *testing.T) {
	m := new(Cache).NewMemo(1 << 20)
	m.remember("http", "a.example", "/x", "a.example", new(Resource), cachepolicy.Key{})
	for _, other := range [][3]string{
		{"https", "a.example", "/x"}, {"http", "A.example", "/x"}, {"http", "a.example", "/X"}, {"http", "a.example/", "x"}, {"http", "a.example", "/x?"}, {"http", "", "a.example/x"},
	} {
		if m.find(other[0], other[1], other[2]) != nil {
			t.Errorf("%q is taken for another request", other)
		}
	}
	if m.find("http", "a.example", "/x") == nil {
		t.Error("forgotten at once")
	}
}

// BenchmarkMemoFind is a look for what is there.
func BenchmarkMemoFind(b *testing.B) {
	m := new(Cache).NewMemo(1 << 20)
	m.remember("http", "www.example.com", "/articles/2026/11/24/some-title?page=2", "www.example.com", new(Resource), cachepolicy.Key{})
	b.ReportAllocs()
	for b.Loop() {
		if m.find("http", "www.example.com", "/articles/2026/11/24/some-title?page=2") == nil {
			b.Fatal("not found")
		}
	}
}
