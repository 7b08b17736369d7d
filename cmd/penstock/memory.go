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

// limitMemory sets the garbage collector's memory limit to that of the container. GOMEMLIMIT and
// AUTOMEMLIMIT override it.
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

// leastRoom is the memory that the process needs beside the memory tier, apart from garbage: for
// its code, connections and bodies in transit.
const leastRoom = 64 << 20

// checkMemory warns if a memory tier of the given size does not fit into the limit that
// containerLimit returns. The kernel would kill the process when the tier is full.
func checkMemory(log *slog.Logger, size int64, containerLimit memlimit.Provider) {
	limit, err := containerLimit()
	if err != nil {
		return // there is no limit, or limitMemory has logged why it cannot be read
	}
	needed := uint64(size) + uint64(size)/100*leastGOGC + leastRoom
	if limit < needed {
		log.Warn("the container's memory limit is too small for cache.memory.size, so the kernel may kill the process; lower cache.memory.size or raise the limit",
			"limit", limit, "cache.memory.size", size, "needed", needed)
	}
}

// By default the heap may double before garbage is collected, which for a cache of 8 GB means
// another 8 GB. The store gives the collector almost nothing to trace, whatever the store's size,
// so collections can be as frequent as with a small heap.
const (
	garbageRoom = 128 << 20 // bytes of garbage that are always allowed
	leastGOGC   = 5         // percent: garbage of at least a twentieth of the live heap is allowed too
	usualGOGC   = 100
	garbageTick = 5 * time.Second
)

// gogcFor returns the value of GOGC for a heap with the given number of live bytes.
func gogcFor(live uint64) int {
	return int(min(max(garbageRoom*100/max(live, 1), leastGOGC), usualGOGC))
}

// boundGarbage keeps the garbage small compared with the heap until the returned function is
// called. It does nothing if GOGC is set.
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
			// SetGCPercent stops the world for a moment, so call it only if it makes a difference.
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

// liveHeap returns the number of bytes that the last collection found alive.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
