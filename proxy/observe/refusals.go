package observe

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

// maxRefusals bounds the series of Refusals. Refusals beyond it are counted without a route.
const maxRefusals = 4 * maxRoutes

// Refusals counts the requests that stages refused, by route, stage and reason. Routes come from
// configurations, and stages and reasons from fixed lists, so clients can't add series.
type Refusals struct {
	counts sync.Map // of *atomic.Uint64 by refusal
	series atomic.Int64
}

type refusal struct{ route, stage, reason string }

var (
	_ Sink   = (*Refusals)(nil)
	_ Source = (*Refusals)(nil)
)

// Finish counts e if a stage refused it.
func (f *Refusals) Finish(e *Event, _ *http.Request) {
	if e.RefusedBy == "" {
		return
	}
	f.count(refusal{e.Route, e.RefusedBy, e.Refusal}).Add(1)
}

func (f *Refusals) count(key refusal) *atomic.Uint64 {
	if n, ok := f.counts.Load(key); ok {
		return n.(*atomic.Uint64)
	}
	if f.series.Load() >= maxRefusals {
		key.route = ""
	}
	n, known := f.counts.LoadOrStore(key, new(atomic.Uint64))
	if !known {
		f.series.Add(1)
	}
	return n.(*atomic.Uint64)
}

// Hit counts nothing, since a refused request is no hit.
func (*Refusals) Hit(*Hit) {}

// Metrics returns the counts.
func (f *Refusals) Metrics(add func(Family)) {
	var keys []refusal
	for key := range f.counts.Range {
		keys = append(keys, key.(refusal))
	}
	slices.SortFunc(keys, func(a, b refusal) int {
		return cmp.Or(cmp.Compare(a.route, b.route), cmp.Compare(a.stage, b.stage), cmp.Compare(a.reason, b.reason))
	})
	family := Family{Name: "penstock_refusals_total", Help: "Requests that a stage of their route refused, by stage and reason. With the reason reported they passed, and the stage would refuse them if its mode were enforce.", Kind: Counter}
	for _, key := range keys {
		family.Points = append(family.Points, Point{Labels: Labels("route", key.route, "stage", key.stage, "reason", key.reason), Value: float64(f.count(key).Load())})
	}
	add(family)
}
