package cache

import (
	"fmt"
	"testing"

	"github.com/penstock/penstock/cachepolicy"
)

// TestMemoHoldsWhatIsUsed against any number of other requests, and stays in its bounds. What it has forgotten all the same is remembered when it is next
// asked for, as after a hit by the slow way.
func TestMemoHoldsWhatIsUsed(t *testing.T) {
	const (
		most = 256 << 10
		hots = 50
		each = 20 // others between two looks at what is hot
		warm = 20_000
		runs = 200_000
	)
	m := new(Cache).NewMemo(most)
	res := new(Resource)
	hot := func(i int) string { return fmt.Sprintf("/hot/%d", i) }
	looks, missed := 0, 0
	for i := range runs {
		m.remember("http", "h", fmt.Sprintf("/a?utm_source=%d", i), "h", res, cachepolicy.Key{})
		if i%each == 0 {
			target := hot(i / each % hots)
			r := m.find("http", "h", target)
			if i >= warm {
				looks++
				if r == nil {
					missed++
				}
			}
			if r != nil {
				r.touch()
			} else {
				m.remember("http", "h", target, "h", res, cachepolicy.Key{})
			}
		}
		if n := m.bytes.Load(); n > most {
			t.Fatalf("%d bytes of %d after %d requests", n, most, i)
		}
	}
	if missed > looks/10 {
		t.Errorf("%d of %d looks at what is used were in vain", missed, looks)
	}
	for i := range runs { // nothing else is used any more
		m.remember("http", "h", fmt.Sprintf("/b?utm_source=%d", i), "h", res, cachepolicy.Key{})
	}
	stay := 0
	for i := range hots {
		if m.find("http", "h", hot(i)) != nil {
			stay++
		}
	}
	if stay > 0 {
		t.Errorf("%d of %d stay for ever", stay, hots)
	}
	t.Logf("%d of %d looks in vain", missed, looks)
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
