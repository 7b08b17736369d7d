package shared

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// gather sends lookups that come at the same time to Redis together. A few round trips are under way at once; what comes meanwhile goes with the next
// one. A lookup that comes alone goes alone and at once. Under load that halves what a lookup costs this process, most of which is system calls.
//
// It serves one server. In a cluster the lookups of one batch go to several, and one that is sick would hold up those for all others.
type gather struct {
	rdb     redis.UniversalClient
	timeout time.Duration

	mu     sync.Mutex
	some   sync.Cond // there is one who waits, or the end has come
	waits  []*lookup
	ended  bool
	flying sync.WaitGroup
}

// gatherTrips is how many go at once.
const gatherTrips = 2

// maxBatch is how many lookups go together at most.
const maxBatch = 32

// lookup is one that waits. After done it is not changed any more.
type lookup struct {
	ctx    context.Context // of who waits: after its end nobody does
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
	g.waits = append(g.waits, l)
	g.mu.Unlock()
	g.some.Signal()
	select {
	case <-l.done:
		return l.values, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start begins to make round trips.
func (g *gather) start() {
	g.some.L = &g.mu
	for range gatherTrips {
		g.flying.Go(g.fly)
	}
}

// end returns when no more round trips are made. Who waits then does so until its time is over, so calls must have been ended before.
func (g *gather) end() {
	g.mu.Lock()
	g.ended = true
	g.mu.Unlock()
	g.some.Broadcast()
	g.flying.Wait()
}

// fly makes round trips until the end.
func (g *gather) fly() {
	batch := make([]*lookup, 0, maxBatch)
	for {
		batch = g.board(batch[:0])
		if batch == nil {
			return
		}
		g.trip(batch)
		clear(batch)
	}
}

// board waits until somebody waits, and takes all who do. It is nil at the end.
func (g *gather) board(batch []*lookup) []*lookup {
	g.mu.Lock()
	for len(g.waits) == 0 && !g.ended {
		g.some.Wait()
	}
	if g.ended {
		g.mu.Unlock()
		return nil
	}
	g.mu.Unlock()
	// Whoever is about to come, comes now: without this the first lookup of many would always go alone.
	runtime.Gosched()
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for n < len(g.waits) && len(batch) < maxBatch {
		if g.waits[n].ctx.Err() == nil {
			batch = append(batch, g.waits[n])
		}
		n++
	}
	rest := copy(g.waits, g.waits[n:])
	clear(g.waits[rest:])
	g.waits = g.waits[:rest]
	return batch
}

// trip makes one round trip. It is bound by a time of its own: that of one lookup must not end the others.
func (g *gather) trip(batch []*lookup) {
	ctx, cancel := context.WithTimeout(context.Background(), g.timeout)
	defer cancel()
	switch len(batch) {
	case 0: // another trip took them, or they have gone
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
