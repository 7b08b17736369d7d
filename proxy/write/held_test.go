package write

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestHeldHasNoFalseNegatives checks that May is true for a held name until each Hold was released.
func TestHeldHasNoFalseNegatives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, counts := NewHeld(), map[[3]string]int{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			u := [3]string{
				rapid.SampledFrom([]string{"a", "a.example"}).Draw(t, "host"), rapid.SampledFrom([]string{"/", "/b", "/" + strings.Repeat("x", 300)}).Draw(t, "path"),
				rapid.SampledFrom([]string{"", "q=1"}).Draw(t, "query"),
			}
			if name := SeenName(u[0], u[1], u[2]); counts[u] > 0 && rapid.Bool().Draw(t, "release") {
				h.Release(name)
				counts[u]--
			} else {
				h.Hold(name)
				counts[u]++
			}
		}
		left := 0
		for u, n := range counts {
			left += n
			if n > 0 && !h.May(u[0], u[1], u[2]) {
				t.Fatalf("%v is held %d times, and Held does not know it", u, n)
			}
		}
		if left == 0 && h.May("a", "/", "") {
			t.Fatal("nothing is held, and Held says that something is")
		}
	})
}

// TestHeldAllocatesNothing checks May, which every hit calls.
func TestHeldAllocatesNothing(t *testing.T) {
	h := NewHeld()
	h.Hold(SeenName("a", "/b", ""))
	if n := testing.AllocsPerRun(100, func() { h.May("a", "/c", "q=1") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
