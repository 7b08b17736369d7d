package board

import (
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

const (
	fineStep    = time.Second
	fineCount   = 300
	coarseEvery = 10 // fine samples
	coarseCount = 360
)

// Config configures a Board. All its functions must be safe for concurrent use.
type Config struct {
	Read      func() observe.Reading
	Slow      *Slow
	Upstreams func() []Upstream // may be nil
	Tiers     func() []Tier     // may be nil
	Ready     func() bool       // nil means always ready
	Version   string
	Now       func() time.Time
}

// Board keeps the figures of the last hour. It is safe for concurrent use.
type Board struct {
	Config
	began time.Time

	mu     sync.Mutex
	last   observe.Reading
	fine   ring
	coarse ring
	due    int           // fine samples since the last coarse one
	tick   chan struct{} // closed after each sample, and replaced

	stop    chan struct{}
	running sync.WaitGroup
	streams chan struct{} // one element for each open stream
	closing sync.Once
}

// ring holds the most recent samples.
type ring struct {
	samples []*sample
	most    int
}

func (r *ring) push(s *sample) {
	if len(r.samples) == r.most {
		copy(r.samples, r.samples[1:])
		r.samples = r.samples[:r.most-1]
	}
	r.samples = append(r.samples, s)
}

// since returns the samples that end after t.
func (r *ring) since(t time.Time) []*sample {
	i := len(r.samples)
	for i > 0 && r.samples[i-1].at.After(t) {
		i--
	}
	return append([]*sample(nil), r.samples[i:]...)
}

// New returns a Board that takes a sample each second, until Close.
func New(c Config) *Board {
	b := &Board{
		Config: c, began: c.Now(), last: c.Read(), fine: ring{most: fineCount}, coarse: ring{most: coarseCount},
		tick: make(chan struct{}), stop: make(chan struct{}), streams: make(chan struct{}, maxStreams),
	}
	b.running.Go(b.run)
	return b
}

// Close ends the sampling and all streams.
func (b *Board) Close() {
	b.closing.Do(func() { close(b.stop) })
	b.running.Wait()
}

func (b *Board) run() {
	tick := time.NewTicker(fineStep)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.sample()
		case <-b.stop:
			return
		}
	}
}

// sample adds the difference between the counters now and at the previous sample.
func (b *Board) sample() {
	now := b.Read()
	now.At = b.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fine.push(difference(b.last, now))
	b.last = now
	if b.due++; b.due == coarseEvery {
		b.coarse.push(joined(b.fine.samples[len(b.fine.samples)-coarseEvery:]))
		b.due = 0
	}
	close(b.tick)
	b.tick = make(chan struct{})
}

// next returns a channel that is closed by the next sample.
func (b *Board) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tick
}

// window returns the samples of the last d: fine ones if they reach back far enough, else coarse
// ones and the fine ones since the last coarse one.
func (b *Board) window(d time.Duration) []*sample {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := b.last.At.Add(fineStep/2 - d) // excludes a sample that ends at the window's beginning, even if its tick was late
	if d <= fineCount*fineStep {
		return b.fine.since(from)
	}
	out := b.coarse.since(b.last.At.Add(-d))
	if b.due > 0 {
		out = append(out, joined(b.fine.samples[len(b.fine.samples)-b.due:]))
	}
	return out
}
