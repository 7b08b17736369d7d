package observe

import (
	"net/http"
	"sync/atomic"
)

// The results of a fill's attempt to fill for all instances: the values of Event.Lease.
const (
	LeaseHeld   = "held"   // this instance filled
	LeaseShared = "shared" // another instance filled, and its response was used
	LeaseFailed = "failed" // the fill continued without a lease: it got none, and another instance's fill did not help
)

// Fills counts fills by their cause, and the results of leases.
type Fills struct {
	led, refreshed, failed            atomic.Uint64
	leaseHeld, leaseShared, leaseNone atomic.Uint64
}

var (
	_ Sink   = (*Fills)(nil)
	_ Filler = (*Fills)(nil)
	_ Source = (*Fills)(nil)
)

// Finish counts nothing.
func (*Fills) Finish(*Event, *http.Request) {}

// Hit counts nothing.
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

// Metrics returns the counts.
func (f *Fills) Metrics(add func(Family)) {
	count := func(n *atomic.Uint64, name, value string) Point {
		return Point{Labels: Labels(name, value), Value: float64(n.Load())}
	}
	add(Family{Name: "penstock_fills_total", Help: "Calls that filled the cache, by kind: for a request that waits, or a refresh in the background.", Kind: Counter, Points: []Point{
		count(&f.led, "kind", "request"), count(&f.refreshed, "kind", "refresh"),
	}})
	add(One(Counter, "penstock_fill_failures_total", "Fills whose call to the upstream failed.", float64(f.failed.Load())))
	add(Family{Name: "penstock_leases_total", Help: "Fills that asked for the lease across instances, by result.", Kind: Counter, Points: []Point{
		count(&f.leaseHeld, "outcome", LeaseHeld), count(&f.leaseShared, "outcome", LeaseShared), count(&f.leaseNone, "outcome", LeaseFailed),
	}})
}
