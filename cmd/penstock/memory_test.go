package main

import "testing"

func TestGarbageIsBounded(t *testing.T) {
	for _, test := range []struct {
		live uint64
		want int
	}{
		{0, 100},
		{4 << 20, 100},
		{64 << 20, 100},
		{128 << 20, 100},
		{256 << 20, 50},
		{1 << 30, 12},
		{8 << 30, 5},
	} {
		if got := gogcFor(test.live); got != test.want {
			t.Errorf("with %d bytes alive GOGC is %d, want %d", test.live, got, test.want)
		}
	}
}
