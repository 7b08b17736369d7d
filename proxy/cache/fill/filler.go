// Package fill gets responses from the origin and stores them.
//
// A fill is a [Job]: one goroutine with a context of its own that belongs to no client. It asks the
// origin, lets cachepolicy settle what the answer means, and announces the response to all requests
// that wait for it. They read the body while it grows. A fill waits for clients only in one case:
// if the body is too large to be stored, the fill waits for the body's readers.
//
// In a fleet the instance that holds a lease fills for all instances, and the others take the
// response that it has shared. Without a lease each instance goes to the origin by itself.
//
// This package does not know which request gets which response: the cache chooses, leads flights
// and follows them. It writes no byte to a client: package deliver does.
package fill

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
)

// Config holds the parts of a Filler.
type Config struct {
	Now    func() time.Time
	Random func() float64 // in [0,1), for jitter and early refresh
	Log    *slog.Logger
	// Filled is called after each fill. It must not keep the Event. nil: not called.
	Filled func(*observe.Event)
	// WithInterim returns a context for RoundTrip. With this context the origin's RoundTripper
	// passes interim responses to deliver.
	WithInterim func(ctx context.Context, deliver func(status int, h http.Header)) context.Context
	Tiers       *tiers.Tiers
	Tasks       *Tasks
}

// Filler runs fills. It may be used concurrently.
type Filler struct {
	Config
	Flights    flight.Group[FlightKey, *Inflight]
	coded      flight.Group[uint64, struct{}] // coded bodies of running fills
	HitForMiss *HitForMiss
	Failures   *RecentFailures
	Pending    *Pending
	Waiting    atomic.Int64 // requests that wait for the answer to another request's call
}

// New returns a Filler without running fills.
func New(cfg Config) *Filler {
	return &Filler{Config: cfg, HitForMiss: newHitForMiss(cfg.Now), Failures: new(RecentFailures), Pending: new(Pending)}
}
