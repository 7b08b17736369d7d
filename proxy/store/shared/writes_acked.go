package shared

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/write"
)

const (
	// maxAcked limits the acknowledged writes that an instance remembers. If Redis loses a
	// forgotten write completely, the instance does not notice.
	maxAcked  = 1 << 16
	auditMost = 500 // writes checked at a time
	// leastKeep is the minimum time for which a finished write is kept, so that the instance that
	// has accepted it can learn of its end.
	leastKeep = time.Minute
	// lostLines limits the lost writes that one audit logs one by one.
	lostLines = 20
)

// acked holds the writes that this instance has acknowledged and whose end it has not seen yet.
// Redis may lose such writes without leaving a trace.
type acked struct {
	mu    sync.Mutex
	known map[string]*ackedWrite
	order []string // in order of arrival, including some settled ones
	next  int      // index into order
}

// ackedWrite holds the remembered properties of a write.
type ackedWrite struct {
	method, host, path string
	accepted, seen     time.Time // seen: when the write was last found in Redis
}

func newAcked() *acked { return &acked{known: make(map[string]*ackedWrite)} }

func (o *acked) add(w *write.Write, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known[w.ID] == nil {
		o.order = append(o.order, w.ID)
	}
	o.known[w.ID] = &ackedWrite{w.Method, w.Host, w.Path, w.Accepted, now}
	for len(o.order) > maxAcked {
		delete(o.known, o.order[0])
		o.order, o.next = o.order[1:], max(0, o.next-1)
	}
}

// settle removes a write.
func (o *acked) settle(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.known, id)
}

// some returns the next writes to check. round is true if every write has then been checked.
func (o *acked) some(most int) (ids []string, round bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.next == 0 { // remove the writes that were settled since the last round
		left := o.order[:0]
		for _, id := range o.order {
			if o.known[id] != nil {
				left = append(left, id)
			}
		}
		o.order = left
	}
	for ; o.next < len(o.order) && len(ids) < most; o.next++ {
		if id := o.order[o.next]; o.known[id] != nil {
			ids = append(ids, id)
		}
	}
	if o.next >= len(o.order) {
		o.next = 0
	}
	return ids, o.next == 0
}

// lookUp returns the remembered properties of a write, or nil.
func (o *acked) lookUp(id string) *ackedWrite {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := o.known[id]
	if d == nil {
		return nil
	}
	known := *d
	return &known
}

func (o *acked) seen(ids []string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		if d := o.known[id]; d != nil {
			d.seen = now
		}
	}
}

// auditAll checks all acknowledged writes.
func (w *Writes) auditAll(ctx context.Context) {
	for round := false; !round && ctx.Err() == nil; {
		var err error
		if round, err = w.audit(ctx); err != nil {
			return // Redis is down; the next audit follows when it is back
		}
	}
}

// audit checks some of the pending writes: those listed by Redis, and those that this instance has
// acknowledged.
func (w *Writes) audit(ctx context.Context) (round bool, err error) {
	ids, round := w.acked.some(auditMost)
	args := []any{w.auditFrom, auditMost}
	for _, id := range ids {
		args = append(args, id)
	}
	reply, err := w.run(ctx, w.scripts.audit, queueTime, args...)
	if err != nil {
		return false, err
	}
	list, _ := reply.([]any)
	if len(list) != 4 {
		return false, fmt.Errorf("auditing queued writes: unexpected reply %.100q", fmt.Sprint(reply))
	}
	missing, settled := texts(list[0]), texts(list[1])
	for _, id := range settled {
		w.acked.settle(id)
	}
	if n, _ := list[3].(int64); n < auditMost {
		w.auditFrom = 0
	} else {
		w.auditFrom += auditMost
		round = false
	}
	if back, _ := list[2].(int64); back > 0 {
		w.c.log.Error("Redis had lost a part of the queue; its writes were put back at the end", "server", w.c.server, "writes", back)
	}
	lost := w.recordLost(ctx, missing)
	w.acked.seen(ids, w.c.now())
	if lost > lostLines {
		w.c.log.Error("more acknowledged writes are missing from Redis", "server", w.c.server, "writes", lost-lostLines)
	}
	return round, nil
}

// recordLost records lost writes, and returns how many are newly recorded.
func (w *Writes) recordLost(ctx context.Context, ids []string) (lost int) {
	for _, id := range ids {
		d := w.acked.lookUp(id)
		if d != nil && w.c.now().Sub(d.seen) > w.keep()-leastKeep/2 {
			w.acked.settle(id) // it may have been applied and forgotten while Redis was unreachable
			continue
		}
		x := &write.Write{ID: id}
		if d != nil {
			x.Method, x.Host, x.Path, x.Accepted = d.method, d.host, d.path, d.accepted
		}
		counted, err := w.lose(ctx, x)
		if err != nil {
			return lost // the next audit finds it again
		}
		w.acked.settle(id)
		if !counted {
			continue
		}
		if lost++; lost <= lostLines {
			w.c.log.Error("an acknowledged write is missing from Redis: it was evicted, deleted, or lost in a restart or failover", "server", w.c.server, "id", id, "method", x.Method, "path", x.Path)
		}
	}
	return lost
}

// keep returns how long finished writes are kept.
func (w *Writes) keep() time.Duration { return max(w.bounds.Keep, leastKeep) }

// lostState returns the state of a lost write, and an outline in case Redis has no other.
func (w *Writes) lostState(x *write.Write) (state, outline []byte, err error) {
	if state, err = json.Marshal(write.State{Phase: write.Lost, Reason: "it is missing from Redis", Updated: w.c.now()}); err != nil {
		return nil, nil, err
	}
	outline, err = x.Outline().Encode()
	return state, outline, err
}

// setLetterAside removes an unreadable dead letter from the list, so that it does not block the
// others.
func (w *Writes) setLetterAside(ctx context.Context, id string, why error) {
	state, outline, err := w.lostState(&write.Write{ID: id})
	if err != nil {
		return
	}
	reply, err := w.run(ctx, w.scripts.aside, queueTime, id, state, outline, w.keep().Milliseconds(), w.bounds.DeadAge.Milliseconds())
	if err == nil && reply == "counted" {
		w.lost.Add(1)
		w.c.log.Error("a damaged dead letter was set aside", "server", w.c.server, "id", id, "error", why)
	}
}

// lose records that a write is gone. counted is false if that was recorded before.
func (w *Writes) lose(ctx context.Context, x *write.Write) (counted bool, err error) {
	state, outline, err := w.lostState(x)
	if err != nil {
		return false, err
	}
	reply, err := w.run(ctx, w.scripts.lose, queueTime, x.ID, state, outline, w.keep().Milliseconds(), w.bounds.DeadAge.Milliseconds())
	if err == nil && reply == "counted" {
		w.lost.Add(1)
		return true, nil
	}
	return false, err
}
