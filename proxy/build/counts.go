package build

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/aggregate"
	"github.com/penstock/penstock/proxy/batch"
	"github.com/penstock/penstock/proxy/observe"
)

// counts counts the calls that serve several reads at a time, which are parts of aggregates and
// batches, and the requests that a shared rate limit could not judge in Redis. The counts continue over reloads. The configurations that the process has run bound the number of
// series.
type counts struct {
	parts, batches, reads, alone sync.Map // of *atomic.Uint64 by combinedSeries
}

// combinedSeries holds the label values of a count. A label that the count does not have is "".
type combinedSeries struct{ route, part, outcome, size string }

func count(m *sync.Map, s combinedSeries, n uint64) {
	counter, ok := m.Load(s)
	if !ok {
		counter, _ = m.LoadOrStore(s, new(atomic.Uint64))
	}
	counter.(*atomic.Uint64).Add(n)
}

// part returns the function that counts the parts of an aggregate on the route.
func (c *counts) part(route string) func(context.Context, string, aggregate.Outcome, time.Duration) {
	return func(_ context.Context, part string, outcome aggregate.Outcome, _ time.Duration) {
		count(&c.parts, combinedSeries{route: route, part: part, outcome: string(outcome)}, 1)
	}
}

// batch returns the function that counts the calls of a batch on the route.
func (c *counts) batch(route string) func(int, batch.Outcome, time.Duration) {
	return func(size int, outcome batch.Outcome, _ time.Duration) {
		count(&c.batches, combinedSeries{route: route, outcome: string(outcome), size: sizeClass(size)}, 1)
		count(&c.reads, combinedSeries{route: route}, uint64(size))
	}
}

// limitedAlone returns the function that counts the requests to the route that this instance judged
// alone, though all instances share the limit.
func (c *counts) limitedAlone(route string) func() {
	return func() { count(&c.alone, combinedSeries{route: route}, 1) }
}

// sizeClass returns the range for a number of ids in one call.
func sizeClass(n int) string {
	switch {
	case n <= 1:
		return "1"
	case n < 10:
		return "2-9"
	case n < 100:
		return "10-99"
	}
	return "100+"
}

// Metrics adds the counts.
func (c *counts) Metrics(add func(observe.Family)) {
	add(combinedFamily(&c.parts, "penstock_aggregate_parts_total", "Parts of aggregates, by result: complete, replaced as on_error says, or failed with the whole.", func(s combinedSeries) []observe.Label {
		return observe.Labels("route", s.route, "part", s.part, "outcome", s.outcome)
	}))
	add(combinedFamily(&c.batches, "penstock_batch_calls_total", "Calls to batch endpoints, by the number of ids that they asked for.", func(s combinedSeries) []observe.Label {
		return observe.Labels("route", s.route, "outcome", s.outcome, "size", s.size)
	}))
	add(combinedFamily(&c.alone, "penstock_rate_limit_local_total", "Requests to routes with a shared rate limit that this instance judged alone, because Redis did not answer.", func(s combinedSeries) []observe.Label {
		return observe.Labels("route", s.route)
	}))
	add(combinedFamily(&c.reads, "penstock_batch_ids_total", "Ids that calls to batch endpoints asked for.", func(s combinedSeries) []observe.Label {
		return observe.Labels("route", s.route)
	}))
}

func combinedFamily(m *sync.Map, name, help string, labels func(combinedSeries) []observe.Label) observe.Family {
	f := observe.Family{Name: name, Help: help, Kind: observe.Counter}
	m.Range(func(k, v any) bool {
		f.Points = append(f.Points, observe.Point{Labels: labels(k.(combinedSeries)), Value: float64(v.(*atomic.Uint64).Load())})
		return true
	})
	slices.SortFunc(f.Points, func(a, b observe.Point) int {
		return slices.CompareFunc(a.Labels, b.Labels, func(x, y observe.Label) int { return cmp.Compare(x.Value, y.Value) })
	})
	return f
}
