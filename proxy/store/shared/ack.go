package shared

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/store"
)

const (
	ackKeep  = 30 * time.Second // how long Redis keeps acknowledgements that are not fetched
	ackBlock = time.Second
)

// waiter is a purge that waits for the other instances.
type waiter struct {
	id        string
	until     time.Time
	mu        sync.Mutex
	confirmed map[string]struct{}
	changed   chan struct{} // holds a token after another instance has confirmed
}

func (w *waiter) confirm(instance string) {
	w.mu.Lock()
	w.confirmed[instance] = struct{}{}
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// missing returns the live instances other than self that have not confirmed.
func (w *waiter) missing(live []string, self string) (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range live {
		if _, ok := w.confirmed[name]; !ok && name != self {
			names = append(names, name)
		}
	}
	return names
}

// waiters holds the waiting purges of this instance.
type waiters struct {
	mu    sync.Mutex
	last  uint64
	by    map[string]*waiter
	begun chan struct{} // holds a token after a purge was added
}

func (ws *waiters) init() {
	ws.by = make(map[string]*waiter)
	// So that a restarted instance of the same name does not count old acknowledgements.
	ws.last = rand.Uint64()
	ws.begun = make(chan struct{}, 1)
}

func (ws *waiters) enter(wait time.Duration) *waiter {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.last++
	w := &waiter{id: strconv.FormatUint(ws.last, 10), until: time.Now().Add(wait), confirmed: make(map[string]struct{}), changed: make(chan struct{}, 1)}
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

// hear processes an acknowledgement: the id of the waiting purge, and the name of the instance that
// has applied it.
func (ws *waiters) confirm(word string) {
	id, instance, _ := strings.Cut(word, " ")
	ws.mu.Lock()
	w := ws.by[id]
	ws.mu.Unlock()
	if w != nil {
		w.confirm(instance)
	}
}

func (p *Purges) ackKey(instance string) string { return p.client.fleetKey("applied:" + instance) }

// acknowledge tells the instances that made the purges that this instance has applied them.
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
		p.client.log.Debug("acknowledging purges failed", "error", err)
	}
}

// collect fetches the acknowledgements for purges of this instance, as long as one of them waits.
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
		p.waiters.confirm(reply[1])
	case err != nil && !isAnswer(err):
		pause(p.stop, minAgain)
	}
}

// await waits until all live instances have confirmed a purge. It stops waiting for an instance
// that dies meanwhile.
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
		case <-w.changed:
		case <-look.C:
			live = p.withoutDead(ctx, live)
		}
		missing = w.missing(live, self)
	}
	n := len(live)
	if !slices.Contains(live, self) {
		n++
	}
	return store.Report{Instances: n, Applied: n - len(missing), Missing: missing}
}

// withoutDead returns live without the instances that have died.
func (p *Purges) withoutDead(ctx context.Context, live []string) []string {
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

const (
	// replicaGrace is added to the time that purges wait for an instance. It covers the renewals
	// that a replica had not received when it took over.
	replicaGrace = 5 * time.Second
	// unbounded is the time that purges wait for an instance without MaxCutOff that is cut off or
	// dead. Such an instance may serve purged responses for any length of time.
	unbounded = time.Hour
)

// membership returns how long purges wait for this instance after its last renewal.
func (p *Purges) membership() time.Duration {
	if p.client.maxCutOff == 0 {
		return unbounded
	}
	return p.client.maxCutOff + replicaGrace
}

// trust lets stored responses be served without validation for as long as purges wait for this
// instance. asked is the time before the membership was requested, so this period ends before that
// of Redis.
func (p *Purges) trust(asked time.Time) {
	if p.client.maxCutOff > 0 {
		p.epochs.TrustUntil(asked.Add(p.client.maxCutOff))
	}
}

// known returns what the scripts need to compare histories: the era and the server process that
// this instance last spoke with, and the other members that it knows. The list is a JSON object of
// names and milliseconds, or "" if it is empty.
//
// Each member gets the full time for which purges wait for an instance. It may have renewed its
// membership until the history was lost, even if this instance was paused and has heard of no
// renewal for long.
func (p *Purges) known() (era uint64, run, list string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := make(map[string]int64, len(p.members))
	for _, name := range p.members {
		if name != p.client.instance {
			left[name] = p.membership().Milliseconds()
		}
	}
	if len(left) == 0 {
		return p.position.era, p.position.run, ""
	}
	text, _ := json.Marshal(left) // a map of numbers always has a JSON form
	return p.position.era, p.position.run, string(text)
}
