package main

import (
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// TestMemoryTierFitsTheContainer checks that a memory limit below the size of the memory tier and
// its overhead is reported with both figures and the key.
func TestMemoryTierFitsTheContainer(t *testing.T) {
	const mib = 1 << 20
	none := func() (uint64, error) { return 0, memlimit.ErrNoLimit }
	for _, c := range []struct {
		size  int64
		limit memlimit.Provider
		warns bool
	}{
		{256 * mib, memlimit.Limit(512 * mib), false}, // the defaults in a small container
		{256 * mib, memlimit.Limit(333 * mib), false}, // 256 + 5 % + 64 is 332.8
		{256 * mib, memlimit.Limit(332 * mib), true},
		{256 * mib, memlimit.Limit(128 * mib), true},
		{10 << 30, memlimit.Limit(16 << 30), false}, // 60 %, as deploy/README advises
		{math.MaxInt64, memlimit.Limit(16 << 30), true},
		{10 << 30, none, false},
	} {
		var log strings.Builder
		checkMemory(slog.New(slog.NewTextHandler(&log, nil)), c.size, c.limit)
		limit, _ := c.limit()
		if told := strings.Contains(log.String(), fmt.Sprintf("limit=%d cache.memory.size=%d ", limit, c.size)); told != c.warns || !c.warns && log.Len() > 0 {
			t.Errorf("size %d, limit %d: %q", c.size, limit, log.String())
		}
	}
}

func TestGCPercentBoundsGarbage(t *testing.T) {
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
