package shared

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// gather sends concurrent lookups to Redis together. A few round trips are under way at a time.
// Lookups that arrive meanwhile share the next one. A single lookup is sent at once. Under load
// this halves the cost of a lookup in this process, because most of the cost is system calls.
//
// A gather serves one server. In a cluster the lookups of a batch would go to several servers, and
// a sick one would delay the lookups for the others.
type gather struct {
	rdb     redis.UniversalClient
	timeout time.Duration

	mu      sync.Mutex
	ready   sync.Cond // signals a waiting lookup, or the end
	waiting []*lookup
	ended   bool
	running sync.WaitGroup
}

// gatherTrips is the number of concurrent round trips.
const gatherTrips = 2

// maxBatch limits the lookups in one round trip.
const maxBatch = 32

// lookup is one waiting lookup. It does not change after done is closed.
type lookup struct {
	ctx    context.Context // the caller's; once it has ended, the caller no longer waits
	key    string
	names  []string
	values []any
	err    error
	done   chan struct{}
}

// get reads fields of a hash.
func (g *gather) get(ctx context.Context, key string, names []string) ([]any, error) {
	l := &lookup{ctx: ctx, key: key, names: names, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, l)
	g.mu.Unlock()
	g.ready.Signal()
	select {
	case <-l.done:
		return l.values, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start starts the goroutines that make the round trips.
func (g *gather) start() {
	g.ready.L = &g.mu
	for range gatherTrips {
		g.running.Go(g.run)
	}
}

// end ends the round trips and waits for them. A lookup that still waits then does so until its
// context ends, so the caller must have ended all calls before.
func (g *gather) end() {
	g.mu.Lock()
	g.ended = true
	g.mu.Unlock()
	g.ready.Broadcast()
	g.running.Wait()
}

// run makes round trips until the end.
func (g *gather) run() {
	batch := make([]*lookup, 0, maxBatch)
	for {
		batch = g.nextBatch(batch[:0])
		if batch == nil {
			return
		}
		g.roundTrip(batch)
		clear(batch)
	}
}

// nextBatch waits for a lookup and returns all waiting ones, up to maxBatch. It returns nil at the
// end.
func (g *gather) nextBatch(batch []*lookup) []*lookup {
	g.mu.Lock()
	for len(g.waiting) == 0 && !g.ended {
		g.ready.Wait()
	}
	if g.ended {
		g.mu.Unlock()
		return nil
	}
	g.mu.Unlock()
	// Let other runnable goroutines add their lookups. Without this the first of many lookups would
	// always go alone.
	runtime.Gosched()
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for n < len(g.waiting) && len(batch) < maxBatch {
		if g.waiting[n].ctx.Err() == nil {
			batch = append(batch, g.waiting[n])
		}
		n++
	}
	rest := copy(g.waiting, g.waiting[n:])
	clear(g.waiting[rest:])
	g.waiting = g.waiting[:rest]
	return batch
}

// roundTrip makes one round trip. It has a timeout of its own, so that the end of one lookup's
// context does not end the others.
func (g *gather) roundTrip(batch []*lookup) {
	ctx, cancel := context.WithTimeout(context.Background(), g.timeout)
	defer cancel()
	switch len(batch) {
	case 0: // another round trip has taken the lookups, or their callers have gone
		return
	case 1:
		l := batch[0]
		l.values, l.err = g.rdb.HMGet(ctx, l.key, l.names...).Result()
		close(l.done)
		return
	}
	pipe := g.rdb.Pipeline()
	var space [maxBatch]*redis.SliceCmd
	commands := space[:0]
	for _, l := range batch {
		commands = append(commands, pipe.HMGet(ctx, l.key, l.names...))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, l := range batch {
		l.values, l.err = commands[i].Result()
		close(l.done)
	}
}
