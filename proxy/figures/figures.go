// Package figures collects the figures of a gateway: those that it counts for each request, and
// those of the state that the other packages hold. It offers them as metrics, to the dashboard, and
// as the evidence for advice.
package figures

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/advice"
	"github.com/penstock/penstock/proxy/board"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/cost"
	"github.com/penstock/penstock/proxy/fleet"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/pools"
	"github.com/penstock/penstock/proxy/write"
)

// Figures counts requests and reads the state of a gateway. The counts continue over reloads. It
// may be used concurrently.
type Figures struct {
	meter    *observe.Meter
	fills    *observe.Fills
	refused  *observe.Refusals
	evidence *advice.Collector
	slow     *board.Slow
	scraped  atomic.Bool // whether the configuration asks for /metrics
	watched  Watched
	board    *board.Board

	mu      sync.Mutex
	further []observe.Source // guarded by mu
}

// Watched is the state of a gateway whose figures are read.
type Watched struct {
	Version string
	Started time.Time
	Now     func() time.Time
	Ready   func() bool // whether the gateway takes traffic
	Cache   *cache.Cache
	Fleet   *fleet.Member
	Pools   *pools.Set
	Built   observe.Source     // the counts of combined calls
	Writes  func() write.Store // of the running configuration; nil if it has no queue
	Cost    func() *cost.Report
}

// New returns Figures without counts, for a gateway whose memory tier has the given size.
func New(memory int64, now func() time.Time) *Figures {
	return &Figures{meter: observe.NewMeter(), fills: new(observe.Fills), refused: new(observe.Refusals), evidence: advice.NewCollector(memory), slow: board.NewSlow(now)}
}

// Sink returns the Sink that counts requests for f and passes them on to others.
func (f *Figures) Sink(others ...observe.Sink) observe.Sink {
	return observe.Tee(append([]observe.Sink{f.meter, f.slow, f.fills, f.refused, f.evidence}, others...)...)
}

// Watch begins to read the state of a gateway. Close ends it.
func (f *Figures) Watch(w Watched) {
	f.watched = w
	f.board = board.New(board.Config{
		Read: f.meter.Read, Slow: f.slow, Upstreams: f.upstreams, Tiers: f.tiers, Ready: w.Ready, Version: w.Version, Now: w.Now,
	})
}

// Close ends the samples of the dashboard.
func (f *Figures) Close() { f.board.Close() }

// Meter returns the counter of all requests.
func (f *Figures) Meter() *observe.Meter { return f.meter }

// Board serves the JSON of the dashboard.
func (f *Figures) Board() http.Handler { return f.board.Handler() }

// Evidence returns the facts from which advice is derived.
func (f *Figures) Evidence() *advice.Evidence {
	e := f.evidence.Read(f.meter.Read())
	e.Since = f.watched.Now().Sub(f.watched.Started)
	limits := f.watched.Fleet.Limits()
	e.Memory.Size, e.Memory.Used, e.Memory.MaxObject = limits.Size, f.watched.Fleet.Memory.Stats().Bytes, limits.MaxObject
	return &e
}
