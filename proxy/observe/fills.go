package observe

import (
	"net/http"
	"sync/atomic"
)

// What came of a fill's attempt to fill for all instances: the values of Event.Lease.
const (
	LeaseHeld   = "held"   // this instance filled
	LeaseShared = "shared" // another instance did, and its response was used
	LeaseFailed = "failed" // the fill went on without: there was no lease to be had, and nothing came of another's
)

// Fills counts fills: what they were for, and what came of leases.
type Fills struct {
	led, refreshed, failed            atomic.Uint64
	leaseHeld, leaseShared, leaseNone atomic.Uint64
}

var (
	_ Sink   = (*Fills)(nil)
	_ Filler = (*Fills)(nil)
	_ Source = (*Fills)(nil)
)

// Finish has nothing to count.
func (*Fills) Finish(*Event, *http.Request) {}

// Hit has nothing to count.
func (*Fills) Hit(*Hit) {}

// Fill counts a fill.
func (f *Fills) Fill(e *Event) {
	if e.Background {
		f.refreshed.Add(1)
	} else {
		f.led.Add(1)
	}
	if e.Err != nil {
		f.failed.Add(1)
	}
	switch e.Lease {
	case LeaseHeld:
		f.leaseHeld.Add(1)
	case LeaseShared:
		f.leaseShared.Add(1)
	case LeaseFailed:
		f.leaseNone.Add(1)
	}
}

// Metrics are the counts.
func (f *Fills) Metrics(add func(Family)) {
	count := func(n *atomic.Uint64, name, value string) Point {
		return Point{Labels: Labels(name, value), Value: float64(n.Load())}
	}
	add(Family{Name: "penstock_fills_total", Help: "Calls that filled the cache, by whether a request waited or they refreshed in the background.", Kind: Counter, Points: []Point{
		count(&f.led, "kind", "request"), count(&f.refreshed, "kind", "refresh"),
	}})
	add(One(Counter, "penstock_fill_failures_total", "Fills whose call to the upstream failed.", float64(f.failed.Load())))
	add(Family{Name: "penstock_leases_total", Help: "Fills that asked for the lease of all instances, by what came of it.", Kind: Counter, Points: []Point{
		count(&f.leaseHeld, "outcome", LeaseHeld), count(&f.leaseShared, "outcome", LeaseShared), count(&f.leaseNone, "outcome", LeaseFailed),
	}})
}
