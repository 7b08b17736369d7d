package shared

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/write"
)

const (
	// partLease is how long a part is held after the last beat: so long do the writes of an instance that has died wait for another.
	partLease = 3 * time.Second
	partBeat  = 700 * time.Millisecond
	// partMargin is how long before the end of a lease its holder stops: longer than Redis' clock and ours may differ in that time.
	partMargin = 300 * time.Millisecond
	newsEvery  = 50 * time.Millisecond // how often it is looked whether other instances have queued something
	readMost   = 500
	sweepEvery = 10 * time.Second
	sweepMost  = 1000
)

// part is a part of the lanes that this instance holds.
type part struct {
	w        *Writes
	n        int
	token    string
	held     context.Context
	lose     context.CancelFunc
	deadline *time.Timer
	soft     context.Context // ended when it is to be given to another
	ease     context.CancelFunc
	more     chan struct{} // holds one when there may be something to read
	claim    string        // from which place what others have left is still to be claimed; "": all is
	news     string        // as it was last seen
}

var _ write.Part = (*part)(nil)

// Hold works on this instance's share of the parts until ctx ends.
func (w *Writes) Hold(ctx context.Context, work func(context.Context, write.Part)) {
	var working sync.WaitGroup
	beat, news, sweep := time.NewTicker(partBeat), time.NewTicker(newsEvery), time.NewTicker(sweepEvery)
	defer beat.Stop()
	defer news.Stop()
	defer sweep.Stop()
	w.warnOfLoss(ctx)
	w.beat(ctx, &working, work)
	for ctx.Err() == nil {
		select {
		case <-beat.C:
			w.beat(ctx, &working, work)
		case <-news.C:
			w.lookForNews(ctx)
		case <-sweep.C:
			before := w.c.now().Add(-w.bounds.DeadAge).UnixMilli()
			_, _ = w.run(ctx, w.scripts.sweep, queueTime, before, w.bounds.Keep.Milliseconds(), sweepMost) // the next one tries again
		case <-ctx.Done():
		}
	}
	w.end(&working, beat.C)
}

// warnOfLoss says so where Redis keeps nothing on disk: then writes that were acknowledged are lost with it.
func (w *Writes) warnOfLoss(ctx context.Context) {
	var info string
	err := w.c.callFor(ctx, queueTime, func(ctx context.Context) (err error) {
		info, err = w.c.rdb.Info(ctx, "persistence").Result()
		return err
	})
	if err == nil && !strings.Contains(info, "aof_enabled:1") {
		w.c.log.Warn("Redis has no append-only file: writes that were acknowledged are lost when it ends; set appendonly yes and appendfsync always", "server", w.c.server)
	}
}

// end keeps the leases until the work under way has ended.
func (w *Writes) end(working *sync.WaitGroup, beat <-chan time.Time) {
	ended := make(chan struct{})
	go func() { working.Wait(); close(ended) }()
	for {
		select {
		case <-ended:
			w.leave()
			return
		case <-beat:
			w.prolong(context.Background(), -1)
		}
	}
}

// leave lets the others know that they need not share with this instance any more.
func (w *Writes) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), queueTime)
	defer cancel()
	_ = w.c.call(ctx, func(ctx context.Context) error { return w.c.rdb.ZRem(ctx, w.base()+"live", w.c.instance).Err() }) // else it runs out
}

// beat prolongs what is held, takes more, or gives up some: each instance that lives has its share.
func (w *Writes) beat(ctx context.Context, working *sync.WaitGroup, work func(context.Context, write.Part)) {
	share, taken := w.prolong(ctx, rand.IntN(write.Partitions))
	for _, p := range taken {
		p.soft, p.ease = context.WithCancel(ctx)
		stop := context.AfterFunc(p.held, p.ease)
		working.Go(func() {
			defer stop()
			work(p.soft, p)
			w.giveBack(p)
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	over := len(w.parts) - share
	for _, p := range w.parts {
		if p.soft.Err() != nil {
			over-- // it is on its way
		}
	}
	for _, p := range w.parts {
		if over <= 0 || share == 0 {
			break
		}
		if p.soft.Err() == nil {
			p.ease() // its work ends when the tries under way have
			over--
		}
	}
}

// prolong says that this instance lives, and notes what it holds. It returns its share, 0 where Redis does not
// answer, and what it has taken, beginning with first; -1: nothing.
func (w *Writes) prolong(ctx context.Context, first int) (share int, taken []*part) {
	w.mu.Lock()
	args := []any{w.c.instance, partLease.Milliseconds(), write.Partitions, first}
	before := make(map[int]*part, len(w.parts))
	for n := range write.Partitions {
		token := ""
		if p := w.parts[n]; p != nil {
			token, before[n] = p.token, p
		}
		args = append(args, token)
	}
	w.mu.Unlock()
	began := time.Now()
	reply, err := w.run(ctx, w.scripts.beat, queueTime, args...)
	list, _ := reply.([]any)
	if err != nil || len(list) != 1+write.Partitions {
		return 0, nil
	}
	left := partLease - partMargin - time.Since(began)
	share, _ = strconv.Atoi(fmt.Sprint(list[0]))
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range write.Partitions {
		token, _ := list[1+n].(string)
		p := before[n]
		switch {
		case p != nil && token == p.token:
			p.deadline.Reset(left)
		case token != "" && (p == nil || w.parts[n] == nil):
			taken = append(taken, w.hold(n, token, left))
		case p != nil: // lost. If a new lease came in the same moment it runs out, since the work on the old one has yet to end
			p.lose()
		}
	}
	return share, taken
}

// hold notes a lease. The lock is held.
func (w *Writes) hold(n int, token string, left time.Duration) *part {
	p := &part{w: w, n: n, token: token, more: make(chan struct{}, 1), claim: "0-0"}
	p.held, p.lose = context.WithCancel(w.c.stop)
	p.deadline = time.AfterFunc(left, p.lose)
	p.more <- struct{}{}
	w.parts[n] = p
	return p
}

// giveBack ends the work on a part, and its lease, if that is still held: its token tells.
func (w *Writes) giveBack(p *part) {
	p.deadline.Stop()
	p.ease()
	p.lose()
	w.mu.Lock()
	delete(w.parts, p.n)
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), queueTime)
	defer cancel()
	_ = w.c.call(ctx, func(ctx context.Context) error { // else it runs out
		return extendScript.Run(ctx, w.c.rdb, []string{w.base() + "l:" + strconv.Itoa(p.n)}, p.token, 1).Err()
	})
}

// nudge wakes the work on a part, where it is here.
func (w *Writes) nudge(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.parts[n]; p != nil {
		p.wake()
	}
}

func (p *part) wake() {
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// lookForNews wakes the work on parts for which another instance has queued something.
func (w *Writes) lookForNews(ctx context.Context) {
	w.mu.Lock()
	var names []string
	var parts []*part
	for n, p := range w.parts {
		names, parts = append(names, "p"+strconv.Itoa(n)), append(parts, p)
	}
	w.mu.Unlock()
	if len(names) == 0 {
		return
	}
	var values []any
	err := w.c.call(ctx, func(ctx context.Context) (err error) {
		values, err = w.c.rdb.HMGet(ctx, w.base()+"n", names...).Result()
		return err
	})
	if err != nil {
		return
	}
	for i, p := range parts {
		if now := fmt.Sprint(values[i]); now != p.news {
			p.news = now
			p.wake()
		}
	}
}

// Held ends with the lease.
func (p *part) Held() context.Context { return p.held }

// Next reads what is queued: what was left by others first.
func (p *part) Next(ctx context.Context) ([]write.Entry, error) {
	for {
		entries, more, err := p.read(ctx)
		if err != nil {
			return nil, err
		}
		if more {
			p.wake()
		}
		if len(entries) > 0 {
			return entries, nil
		}
		select {
		case <-p.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.held.Done():
			return nil, write.ErrLost
		}
	}
}

func (p *part) read(ctx context.Context) (entries []write.Entry, more bool, err error) {
	claiming := p.claim != ""
	reply, err := p.w.run(ctx, p.w.scripts.read, queueTime, p.n, p.token, p.w.c.instance, p.claim, readMost)
	if err != nil {
		return nil, false, err
	}
	list, ok := reply.([]any)
	if !ok || len(list) != 2 {
		return nil, false, write.ErrLost
	}
	if claiming {
		if p.claim, _ = list[0].(string); p.claim == "0-0" {
			p.claim = ""
		}
	}
	messages, _ := list[1].([]any)
	for _, m := range messages {
		if e, ok := entryOf(m); ok {
			e.Again = claiming
			entries = append(entries, e)
		}
	}
	return entries, claiming || len(entries) > 0, nil
}

// entryOf reads a message of the stream.
func entryOf(m any) (e write.Entry, ok bool) {
	pair, _ := m.([]any)
	if len(pair) != 2 {
		return e, false
	}
	e.Place, _ = pair[0].(string)
	fields, _ := pair[1].([]any)
	for i := 0; i+1 < len(fields); i += 2 {
		value, _ := fields[i+1].(string)
		switch fields[i] {
		case "id":
			e.ID = value
		case "lane":
			e.Lane = value
		}
	}
	return e, e.Place != "" && e.ID != ""
}

// Load gives the write of an entry.
func (p *part) Load(ctx context.Context, e write.Entry) (*write.Record, error) {
	return p.w.Find(ctx, e.ID)
}

// Put notes what has become of a write.
func (p *part) Put(ctx context.Context, e write.Entry, r *write.Record) error {
	state, err := json.Marshal(r.State)
	if err != nil {
		return err
	}
	what := "retry"
	switch {
	case r.Phase == write.Dead && r.Policy.DeadLetter:
		what = "bury"
	case r.Ended():
		what = "end"
	}
	return p.put(ctx, e, string(state), what, r.Updated)
}

// Remove takes out an entry of which there is no write.
func (p *part) Remove(ctx context.Context, e write.Entry) error {
	return p.put(ctx, e, "", "end", p.w.c.now())
}

func (p *part) put(ctx context.Context, e write.Entry, state, what string, at time.Time) error {
	b := p.w.bounds
	reply, err := p.w.run(ctx, p.w.scripts.put, queueTime, p.n, p.token, e.Place, e.ID, state, what, b.Keep.Milliseconds(), b.Dead, at.UnixMilli())
	switch {
	case err != nil:
		return err
	case reply == "lost":
		return write.ErrLost
	case reply != "done":
		return errors.New("shared: what has become of a write was not understood")
	}
	return nil
}
