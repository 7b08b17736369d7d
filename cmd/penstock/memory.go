package main

import (
	"log/slog"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// limitMemory tells the garbage collector of the container's limit. GOMEMLIMIT and AUTOMEMLIMIT, where set, win.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set()
	switch {
	case err != nil:
		log.Warn("the container's memory limit cannot be read; set GOMEMLIMIT", "error", err)
	case limit == math.MaxInt64 || limit == 0:
		log.Info("memory is not limited")
	default:
		log.Info("memory limit of the garbage collector", "bytes", limit)
	}
}

// By default the heap may double before garbage is collected, which for a cache of 8 GB is another 8 GB. The store gives the collector nearly
// nothing to trace, whatever its size, so that collections can be as frequent as they are for a small heap.
const (
	garbageRoom = 128 << 20 // so much garbage there may be in any case
	leastGOGC   = 5         // percent: and a twentieth of what lives
	usualGOGC   = 100
	garbageTick = 5 * time.Second
)

// gogcFor is the value of GOGC for a heap of which so many bytes live.
func gogcFor(live uint64) int {
	return int(min(max(garbageRoom*100/max(live, 1), leastGOGC), usualGOGC))
}

// boundGarbage keeps the garbage small beside the heap until the returned function is called. GOGC, where set, wins.
func boundGarbage(env func(string) (string, bool)) (stop func()) {
	if _, set := env("GOGC"); set {
		return func() {}
	}
	stopped := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(garbageTick)
		defer tick.Stop()
		now := usualGOGC
		for {
			select {
			case <-stopped:
				debug.SetGCPercent(usualGOGC)
				return
			case <-tick.C:
			}
			// Setting it stops everything for a moment, so it is done when that makes a difference.
			if next := gogcFor(liveHeap()); next != now && (next == leastGOGC || next == usualGOGC || max(next, now)-min(next, now) >= 10) {
				debug.SetGCPercent(next)
				now = next
			}
		}
	})
	return func() {
		close(stopped)
		wg.Wait()
	}
}

// liveHeap is what the last collection has found alive.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
