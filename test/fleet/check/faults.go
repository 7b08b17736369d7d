package check

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/penstock/penstock/test/redistest"
	"github.com/penstock/penstock/test/wrongclock"
)

// fault is a way to spoil something: begin spoils, and returns how that ends.
type fault struct {
	what  string
	loses bool
	most  time.Duration // that it lasts; 0: what the run allows
	begin func() (end func())
}

// inject spoils for a while. A fault ends before inject returns, whatever becomes of ctx.
func (w *world) inject(ctx context.Context, random *rand.Rand, f fault) {
	if w.Only != nil && !w.Only.MatchString(f.what) {
		return
	}
	most := f.most
	if most == 0 || most > w.MaxFault {
		most = w.MaxFault
	}
	length := drawLength(random, most)
	start := w.now()
	w.mu.Lock()
	at := len(w.faults)
	w.faults = append(w.faults, Fault{f.what, start, start + time.Hour, f.loses})
	w.mu.Unlock()
	end := f.begin()
	rest(ctx, length)
	end()
	w.mu.Lock()
	w.faults[at].End = w.now()
	w.mu.Unlock()
	w.Log("%7.2fs  %s, for %v", start.Seconds(), f.what, (w.now() - start).Round(10*time.Millisecond))
}

// drawLength is mostly short: most faults are.
func drawLength(random *rand.Rand, most time.Duration) time.Duration {
	share := random.Float64()
	return 200*time.Millisecond + time.Duration(share*share*float64(most))
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// spoilInstances kills, stops and cuts off instances, one at a time.
func (w *world) spoilInstances(ctx context.Context, random *rand.Rand) {
	for rest(ctx, w.pause(random)); ctx.Err() == nil; rest(ctx, w.pause(random)) {
		w.inject(ctx, random, one(random, w.instanceFaults(random)))
	}
}

// pause is the time between two faults.
func (w *world) pause(random *rand.Rand) time.Duration {
	return 300*time.Millisecond + time.Duration(random.Int64N(int64(4*time.Second)))
}

func (w *world) instanceFaults(random *rand.Rand) []fault {
	m := one(random, w.members)
	cut := func(do func()) func() func() { return func() func() { do(); return m.gate.Heal } }
	delay := time.Duration(20+random.IntN(200)) * time.Millisecond
	return []fault{
		{what: m.name + " is killed", most: 3 * time.Second, begin: func() func() { w.kill(m); return func() { w.start(m) } }},
		{what: m.name + " is stopped", begin: func() func() {
			i := m.now()
			i.away.Store(true)
			i.Signal(syscall.SIGSTOP)
			return func() { i.Signal(syscall.SIGCONT); i.away.Store(false) }
		}},
		{what: m.name + " loses all packets to Redis", begin: cut(m.gate.Silence)},
		{what: m.name + " is refused by Redis", begin: cut(m.gate.Refuse)},
		{what: m.name + " has a slow link to Redis", begin: cut(func() { m.gate.Delay(delay) })},
	}
}

// spoilRedis has one fault of Redis after the other.
func (w *world) spoilRedis(ctx context.Context, random *rand.Rand) {
	for rest(ctx, 2*w.pause(random)); ctx.Err() == nil; rest(ctx, 2*w.pause(random)) {
		primaries := w.redis.Primaries()
		if len(primaries) == 0 {
			continue
		}
		w.inject(ctx, random, one(random, w.redisFaults(random, one(random, primaries))))
	}
}

// redisFaults are those of a server that is written to.
func (w *world) redisFaults(random *rand.Rand, s *redistest.Server) []fault {
	g := w.redis
	stop := func() func() { s.Pause(); return s.Resume }
	list := []fault{
		{what: "Redis is stopped for a moment", most: 800 * time.Millisecond, begin: stop},
		{what: "Redis is flushed", loses: true, most: 500 * time.Millisecond, begin: func() func() {
			for _, p := range g.Primaries() {
				_, _ = p.Do("FLUSHALL") // one that is away is flushed by its end
			}
			return func() {}
		}},
		{what: "Redis evicts, and the origin refuses queued writes", most: 4 * time.Second, begin: func() func() {
			w.origin.refuses.Store(true)
			time.Sleep(time.Second / 2) // so that some are queued
			undo := fill(s)
			return func() { undo(); w.origin.refuses.Store(false) }
		}},
	}
	if !g.Replicated() {
		return append(list,
			fault{what: "Redis is stopped", most: 4 * time.Second, begin: stop},
			fault{what: "Redis is killed and comes back empty", loses: true, most: 3 * time.Second, begin: func() func() { s.Stop(); return func() { s.Restart() } }},
			fault{what: "Redis is restored from an older copy", loses: true, most: 6 * time.Second, begin: func() func() {
				dump, err := s.Dump()
				if err != nil {
					return func() {}
				}
				return func() { s.RestartFrom(dump) }
			}})
	}
	failover := fault{what: "the primary is killed and its replica takes over", loses: true, most: 6 * time.Second, begin: func() func() {
		s.Stop()
		args := g.TookOver(s)
		return func() { s.Restart(args...) }
	}}
	split := fault{what: "the primary is stopped, its replica takes over, and it comes back", loses: true, most: 2 * time.Second, begin: func() func() {
		s.Pause()
		time.Sleep(5 * time.Second)
		return s.Resume
	}}
	list = append(list, failover, failover, split)
	if w.Redis == "cluster" {
		reshard := fault{what: "slots move to another primary", most: time.Second, begin: func() func() { w.reshard(random, s); return func() {} }}
		list = append(list, reshard, reshard)
	}
	return list
}

// spoilClocks has the clock of one instance be wrong at a time. Meanwhile that instance may be
// killed and another start with the same clock.
func (w *world) spoilClocks(ctx context.Context, random *rand.Rand) {
	if !wrongclock.Supported {
		return
	}
	for rest(ctx, 2*w.pause(random)); ctx.Err() == nil; rest(ctx, 2*w.pause(random)) {
		w.inject(ctx, random, one(random, w.clockFaults(one(random, w.members))))
	}
}

func (w *world) clockFaults(m *member) []fault {
	off := func(by time.Duration) func() func() {
		return func() func() { w.misset(m, by); return func() { w.misset(m, 0) } }
	}
	return []fault{
		{what: "the clock of " + m.name + " is a minute ahead", begin: off(time.Minute)},
		{what: "the clock of " + m.name + " is a minute behind", begin: off(-time.Minute)},
	}
}

// spoilOrigin has the origin refuse queued writes at times, so that some wait in the queue while
// other things happen.
func (w *world) spoilOrigin(ctx context.Context, random *rand.Rand) {
	for rest(ctx, 2*w.pause(random)); ctx.Err() == nil; rest(ctx, 2*w.pause(random)) {
		w.inject(ctx, random, fault{what: "the origin refuses queued writes", most: 3 * time.Second, begin: func() func() {
			w.origin.refuses.Store(true)
			return func() { w.origin.refuses.Store(false) }
		}})
	}
}
