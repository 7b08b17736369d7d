package check

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/test/fleet"
	"github.com/penstock/penstock/test/redistest"
)

// Options say what is run.
type Options struct {
	Redis     string // single, sentinel or cluster
	For       time.Duration
	Seed      uint64
	Instances int
	Clients   int
	Tags      int            // of responses below /many/, before the one by which they are purged
	Policy    string         // maxmemory-policy of Redis
	MaxCutOff time.Duration  // 0: the key is left out, for programs that do not know it
	Only      *regexp.Regexp // the faults that are injected; nil: all
	MaxFault  time.Duration  // the longest that a fault of an instance lasts; 0: longer than MaxCutOff
	Log       func(format string, args ...any)
}

// redisTimeout is long for a request, so that a busy machine is not taken for a sick Redis.
const redisTimeout = 250 * time.Millisecond

// world is a run.
type world struct {
	Options
	tb      testing.TB
	gateway *fleet.Gateway
	redis   *redistest.Deployment
	origin  *origin
	members []*member
	began   time.Time

	over    atomic.Bool
	mu      sync.Mutex
	ops     []Op
	faults  []Fault
	lives   []Life
	names   map[string]string // lives by the names that instances give themselves
	numbers int               // of the last write
}

// Run runs a fleet for Options.For, and then waits until it is well again. An error says that it
// does not become so.
func Run(tb testing.TB, gateway *fleet.Gateway, o Options) (*History, error) {
	w := &world{Options: o, tb: tb, gateway: gateway, began: time.Now(), names: make(map[string]string)}
	if w.MaxFault == 0 {
		w.MaxFault = 10*time.Second + 2*w.MaxCutOff
	}
	var err error
	if w.redis, err = startRedis(tb, o.Redis, o.Policy); err != nil {
		return nil, err
	}
	w.origin = newOrigin(tb, o.Seed, o.Tags, w.now)
	for n := range o.Instances {
		w.members = append(w.members, w.newMember(string(rune('a'+n))))
	}
	if err := w.whole(); err != nil {
		return nil, err
	}
	w.spoil()
	err = w.settle()
	w.over.Store(true)
	return w.history(err == nil), err
}

// now is the time since the beginning.
func (w *world) now() time.Duration { return time.Since(w.began) }

// spoil has clients and faults at work for as long as it is said.
func (w *world) spoil() {
	ctx, cancel := context.WithTimeout(context.Background(), w.For)
	defer cancel()
	var running sync.WaitGroup
	for n := range w.Clients {
		running.Go(func() { w.client(ctx, w.random(10+uint64(n))) })
	}
	running.Go(func() { w.spoilInstances(ctx, w.random(2)) })
	running.Go(func() { w.spoilRedis(ctx, w.random(3)) })
	running.Go(func() { w.spoilOrigin(ctx, w.random(4)) })
	running.Go(func() { w.spoilClocks(ctx, w.random(5)) })
	w.watchPrimaries(ctx, &running)
	running.Wait()
}

// random is the source for one part of the run.
func (w *world) random(part uint64) *rand.Rand { return rand.New(rand.NewPCG(w.Seed, part)) }

// settle waits until the fleet is whole and the queue empty, and reads everything once more.
func (w *world) settle() error {
	if err := w.whole(); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && len(Undelivered(w.history(true))) > 0; {
		time.Sleep(100 * time.Millisecond)
	}
	for _, m := range w.members {
		for _, path := range readable() {
			w.read(m.now(), path)
		}
	}
	return nil
}

// Undelivered are the accepted writes that have not come to the origin.
func Undelivered(h *History) (lost []Violation) {
	for _, v := range queuedWrites(h) {
		if v.Rule == WriteLost {
			lost = append(lost, v)
		}
	}
	return lost
}

// whole waits until each instance has a purge acknowledged by all others.
func (w *world) whole() error {
	end := time.Now().Add(60*time.Second + w.MaxCutOff)
	for _, m := range w.members {
		for {
			i := m.now()
			a := w.introduce(i, 300*time.Millisecond)
			if a.Status == 200 && a.Instances >= len(w.members) {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("the fleet is not whole although all is well: %s has a purge answered with %d: %s %w", i.life, a.Status, a.Text, a.Err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

// history is what was recorded so far.
func (w *world) history(drained bool) *History {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := &History{Ops: append([]Op(nil), w.ops...), Lives: append([]Life(nil), w.lives...), Faults: append([]Fault(nil), w.faults...), Drained: drained}
	for i := range h.Lives {
		if h.Lives[i].End == 0 {
			h.Lives[i].End = w.now() + time.Hour
		}
	}
	for i := range h.Ops {
		for n, name := range h.Ops[i].Missing {
			if life, ok := w.names[name]; ok {
				h.Ops[i].Missing[n] = life
			}
		}
	}
	for _, life := range w.names {
		if l := h.life(life); l != nil {
			l.Known = true
		}
	}
	if w.MaxCutOff > 0 {
		h.Bound = w.MaxCutOff + 5*time.Second + redisTimeout
	}
	h.Arrivals = w.origin.arrived()
	return h
}
