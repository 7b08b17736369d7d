package tiers

import "testing"

func TestDoomed(t *testing.T) {
	d := new(Invalidations)
	a, b := [16]byte{1}, [16]byte{2}
	begun := d.Now()
	d.add(a)
	if !d.Since(a, begun) || d.Since(b, begun) || d.Since(a, d.Now()) || d.Last(a) == 0 || d.Last(b) != 0 {
		t.Error("one object's invalidation is another's, or lost")
	}
	for i := range maxInvalidations {
		d.add([16]byte{3, byte(i), byte(i >> 8), byte(i >> 16)})
	}
	if !d.Since(a, begun) || len(d.at) > maxInvalidations {
		t.Error("an invalidation was forgotten")
	}
}
