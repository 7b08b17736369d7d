package cache

import (
	"fmt"
	"testing"
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
	m := new(Cache).NewHitIndex(most)
	res := new(Resource)
	hot := func(i int) string { return fmt.Sprintf("/hot/%d", i) }
	looks, missed := 0, 0
	for i := range runs {
		m.remember("GET", "http", "h", fmt.Sprintf("/a?utm_source=%d", i), Place{Resource: res, Host: "h"})
		if i%each == 0 {
			target := hot(i / each % hots)
			r := m.find("GET", "http", "h", target)
			if i >= warm {
				looks++
				if r == nil {
					missed++
				}
			}
			if r != nil {
				r.touch()
			} else {
				m.remember("GET", "http", "h", target, Place{Resource: res, Host: "h"})
			}
		}
		if n := m.bytes.Load(); n > most {
			t.Fatalf("%d bytes of %d after %d requests", n, most, i)
		}
	}
	if missed > looks/10 {
		t.Errorf("%d of %d lookups of used keys failed", missed, looks)
	}
	for i := range runs { // nothing else is used any more
		m.remember("GET", "http", "h", fmt.Sprintf("/b?utm_source=%d", i), Place{Resource: res, Host: "h"})
	}
	stay := 0
	for i := range hots {
		if m.find("GET", "http", "h", hot(i)) != nil {
			stay++
		}
	}
	if stay > 0 {
		t.Errorf("%d of %d stay for ever", stay, hots)
	}
	t.Logf("%d of %d looks in vain", missed, looks)
}

// TestMemoTellsRequestsApart by each byte of host and target, by the scheme and the method.
func TestMemoTellsRequestsApart(t *testing.T) {
	m := new(Cache).NewHitIndex(1 << 20)
	m.remember("GET", "http", "a.example", "/x", Place{Resource: new(Resource), Host: "a.example"})
	for _, other := range [][4]string{
		{"GET", "https", "a.example", "/x"}, {"GET", "http", "A.example", "/x"}, {"GET", "http", "a.example", "/X"}, {"GET", "http", "a.example/", "x"},
		{"GET", "http", "a.example", "/x?"}, {"GET", "http", "", "a.example/x"}, {"HEAD", "http", "a.example", "/x"},
	} {
		if m.find(other[0], other[1], other[2], other[3]) != nil {
			t.Errorf("%q is taken for another request", other)
		}
	}
	if m.find("GET", "http", "a.example", "/x") == nil {
		t.Error("forgotten at once")
	}
}

// BenchmarkMemoFind is a look for what is there.
func BenchmarkMemoFind(b *testing.B) {
	m := new(Cache).NewHitIndex(1 << 20)
	m.remember("GET", "http", "www.example.com", "/articles/2026/11/24/some-title?page=2", Place{Resource: new(Resource), Host: "www.example.com"})
	b.ReportAllocs()
	for b.Loop() {
		if m.find("GET", "http", "www.example.com", "/articles/2026/11/24/some-title?page=2") == nil {
			b.Fatal("not found")
		}
	}
}
