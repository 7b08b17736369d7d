package shared

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/store"
)

const (
	ackKeep  = 30 * time.Second // how long Redis keeps words that nobody fetches
	ackBlock = time.Second
)

// waiter is a Purge that waits for the others.
type waiter struct {
	id    string
	until time.Time
	mu    sync.Mutex
	said  map[string]struct{}
	news  chan struct{} // holds a token when somebody has said something
}

func (w *waiter) hear(instance string) {
	w.mu.Lock()
	w.said[instance] = struct{}{}
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// missing are those of live that have said nothing.
func (w *waiter) missing(live []string, self string) (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range live {
		if _, ok := w.said[name]; !ok && name != self {
			names = append(names, name)
		}
	}
	return names
}

// waiters are the purges under way.
type waiters struct {
	mu    sync.Mutex
	last  uint64
	by    map[string]*waiter
	begun chan struct{} // holds a token when there is one more
}

func (ws *waiters) init() {
	ws.by = make(map[string]*waiter)
	ws.last = rand.Uint64() // an instance that is started again under its name must not take old words for new ones
	ws.begun = make(chan struct{}, 1)
}

func (ws *waiters) enter(wait time.Duration) *waiter {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.last++
	w := &waiter{id: strconv.FormatUint(ws.last, 10), until: time.Now().Add(wait), said: make(map[string]struct{}), news: make(chan struct{}, 1)}
	ws.by[w.id] = w
	select {
	case ws.begun <- struct{}{}:
	default:
	}
	return w
}

func (ws *waiters) leave(w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.by, w.id)
}

func (ws *waiters) any() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.by) > 0
}

// hear takes a word of another instance: the name under which a purge waits, and the instance's.
func (ws *waiters) hear(word string) {
	id, instance, _ := strings.Cut(word, " ")
	ws.mu.Lock()
	w := ws.by[id]
	ws.mu.Unlock()
	if w != nil {
		w.hear(instance)
	}
}

func (p *Purges) ackKey(instance string) string { return p.client.fleetKey("applied:" + instance) }

// acknowledge tells those who made purges that they are applied here.
func (p *Purges) acknowledge(applied []notice) {
	if len(applied) == 0 {
		return
	}
	keys, args := make([]string, 0, len(applied)), make([]any, 0, len(applied)+1)
	args = append(args, ackKeep.Milliseconds())
	for _, n := range applied {
		keys = append(keys, p.ackKey(n.to))
		args = append(args, n.id+" "+p.client.instance)
	}
	ctx, cancel := context.WithTimeout(p.stop, p.patience())
	defer cancel()
	if err := p.scripts.acknowledge.Run(ctx, p.rdb, keys, args...).Err(); err != nil && !isAnswer(err) {
		p.client.log.Debug("others are not told that their purges are applied", "error", err)
	}
}

// collect fetches what others say about purges of this instance, as long as any waits.
func (p *Purges) collect() {
	for {
		select {
		case <-p.stop.Done():
			return
		case <-p.waiters.begun:
		}
		for p.waiters.any() && p.stop.Err() == nil {
			p.collectSome()
		}
	}
}

func (p *Purges) collectSome() {
	ctx, cancel := context.WithTimeout(p.stop, ackBlock+p.patience())
	defer cancel()
	reply, err := p.rdb.BLPop(ctx, ackBlock, p.ackKey(p.client.instance)).Result()
	switch {
	case err == nil && len(reply) == 2:
		p.waiters.hear(reply[1])
	case err != nil && !isAnswer(err):
		pause(p.stop, minAgain)
	}
}

// await waits until all that live have said that they have applied a purge. An instance that dies meanwhile is not waited for any longer.
func (p *Purges) await(ctx context.Context, w *waiter, live []string, wait time.Duration) store.Report {
	self := p.client.instance
	ctx, cancel := context.WithDeadline(ctx, w.until)
	defer cancel()
	look := time.NewTicker(beat)
	defer look.Stop()
	missing := w.missing(live, self)
	for len(missing) > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-p.stop.Done():
			cancel()
		case <-w.news:
		case <-look.C:
			live = p.stillLive(ctx, live)
		}
		missing = w.missing(live, self)
	}
	n := len(live)
	if !slices.Contains(live, self) {
		n++
	}
	return store.Report{Instances: n, Applied: n - len(missing), Missing: missing}
}

// stillLive is live without those that have died.
func (p *Purges) stillLive(ctx context.Context, live []string) []string {
	var names []string
	err := p.client.call(ctx, func(ctx context.Context) error {
		reply, err := p.scripts.live.Run(ctx, p.client.rdb, []string{p.client.fleetKey("instances")}).Slice()
		names = texts(reply)
		return err
	})
	if err != nil {
		return live
	}
	return slices.DeleteFunc(slices.Clone(live), func(name string) bool { return !slices.Contains(names, name) })
}
