package shared

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/write"
)

const (
	// partLease is the duration of a part's lease without renewal. The writes of a dead instance
	// wait this long for another instance.
	partLease = 3 * time.Second
	partBeat  = 700 * time.Millisecond
	// partMargin is how long before the end of a lease its holder stops. It exceeds the drift
	// between the clock of Redis and ours in that time.
	partMargin = 300 * time.Millisecond
	// Interval at which an instance looks for writes that others have queued.
	newsInterval  = 50 * time.Millisecond
	readMost      = 500
	sweepInterval = 10 * time.Second
	sweepMost     = 1000
)

// part is a part of the lanes that this instance holds.
type part struct {
	w        *Writes
	n        int
	token    string
	held     context.Context
	lose     context.CancelFunc
	deadline *time.Timer
	active   context.Context // ended when the part is handed over
	handOver context.CancelFunc
	more     chan struct{} // holds a token if there may be a write to read
	// Position from which unsettled writes of former holders must be claimed; "": all are claimed.
	claim string
	anew  atomic.Bool // claim must begin again, because Redis may have gone back to an earlier state, or a reply was lost
	news  string      // last seen value of the part's counter
}

var _ write.Part = (*part)(nil)

// Hold works on this instance's share of the parts until ctx ends.
func (w *Writes) Hold(ctx context.Context, work func(context.Context, write.Part)) {
	var working sync.WaitGroup
	beat, news, sweep := time.NewTicker(partBeat), time.NewTicker(newsInterval), time.NewTicker(sweepInterval)
	defer beat.Stop()
	defer news.Stop()
	defer sweep.Stop()
	_ = w.checkDurability(ctx) // if it fails, it is repeated when Redis answers
	w.beat(ctx, &working, work)
	w.auditAll(ctx)
	for ctx.Err() == nil {
		select {
		case <-beat.C:
			w.beat(ctx, &working, work)
			if !w.durabilityCurrent() && w.checkDurability(ctx) == nil {
				w.auditAll(ctx)
			}
		case <-news.C:
			w.lookForNews(ctx)
		case <-sweep.C:
			before := w.c.now().Add(-w.bounds.DeadAge).UnixMilli()
			// The next sweep repeats a failed one.
			_, _ = w.run(ctx, w.scripts.sweep, queueTime, before, w.keep().Milliseconds(), sweepMost)
			_ = w.checkDurability(ctx)
			_, _ = w.audit(ctx)
		case <-ctx.Done():
		}
	}
	w.end(&working, beat.C)
}

// end renews the leases until all work has ended.
func (w *Writes) end(working *sync.WaitGroup, beat <-chan time.Time) {
	ended := make(chan struct{})
	go func() { working.Wait(); close(ended) }()
	for {
		select {
		case <-ended:
			w.leave()
			return
		case <-beat:
			w.renew(context.Background(), -1)
		}
	}
}

// leave removes this instance from the live ones, so that the others take over its share.
func (w *Writes) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), queueTime)
	defer cancel()
	// If it fails, the entry expires.
	_ = w.c.call(ctx, func(ctx context.Context) error { return w.c.rdb.ZRem(ctx, w.base()+"live", w.c.instance).Err() })
}

// beat renews the held parts, and takes more or hands over some, so that each live instance has its
// share.
func (w *Writes) beat(ctx context.Context, working *sync.WaitGroup, work func(context.Context, write.Part)) {
	share, taken := w.renew(ctx, rand.IntN(write.Partitions))
	for _, p := range taken {
		p.active, p.handOver = context.WithCancel(ctx)
		stop := context.AfterFunc(p.held, p.handOver)
		working.Go(func() {
			defer stop()
			work(p.active, p)
			w.giveBack(p)
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	over := len(w.parts) - share
	for _, p := range w.parts {
		if p.active.Err() != nil {
			over-- // already being handed over
		}
	}
	for _, p := range w.parts {
		if over <= 0 || share == 0 {
			break
		}
		if p.active.Err() == nil {
			p.handOver() // its work ends when the pending attempts have ended
			over--
		}
	}
}

// renew reports this instance as live and renews its leases. It returns its share, or 0 if Redis
// does not answer, and the parts that it has taken. It takes free parts beginning with first, or
// none if first is -1.
func (w *Writes) renew(ctx context.Context, first int) (share int, taken []*part) {
	w.mu.Lock()
	w.renewals++
	fresh := w.c.instance + "." + strconv.FormatUint(w.renewals, 10)
	args := []any{w.c.instance, partLease.Milliseconds(), write.Partitions, first, fresh}
	before := make(map[int]*part, len(w.parts))
	for n := range write.Partitions {
		token := ""
		if p := w.parts[n]; p != nil {
			token, before[n] = p.token, p
		}
		args = append(args, token)
	}
	w.mu.Unlock()
	began, since := time.Now(), w.c.Health().Since
	reply, err := w.run(ctx, w.scripts.beat, queueTime, args...)
	list, _ := reply.([]any)
	if err != nil || len(list) != 2+write.Partitions {
		return 0, nil
	}
	left := partLease - partMargin - time.Since(began)
	share, _ = strconv.Atoi(fmt.Sprint(list[0]))
	server, _ := list[1+write.Partitions].(string)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sawServer(cmp.Or(server, since.String()))
	for n := range write.Partitions {
		token, _ := list[1+n].(string)
		p := before[n]
		switch {
		case p != nil && token == p.token:
			p.deadline.Reset(left)
		case token != "" && (p == nil || w.parts[n] == nil):
			taken = append(taken, w.hold(n, token, left))
		// The lease was lost; a new one taken at the same moment expires, since the work under the
		// old one has not ended.
		case p != nil:
			p.lose()
		}
	}
	return share, taken
}

// sawServer has all held parts claim their unsettled writes anew if the server is another one than
// before. A replica that took over, or a server that was restarted from a copy, may have a state in
// which the leases hold, and writes are unsettled that were settled since. The caller holds the lock.
func (w *Writes) sawServer(id string) {
	if w.server == id {
		return
	}
	w.server = id
	for _, p := range w.parts {
		p.anew.Store(true)
		p.wake()
	}
}

// hold records a lease. The caller holds the lock.
func (w *Writes) hold(n int, token string, left time.Duration) *part {
	p := &part{w: w, n: n, token: token, more: make(chan struct{}, 1), claim: "0-0"}
	p.held, p.lose = context.WithCancel(w.c.stop)
	p.deadline = time.AfterFunc(left, p.lose)
	p.more <- struct{}{}
	w.parts[n] = p
	return p
}

// giveBack ends the work on a part, and its lease if the token still matches.
func (w *Writes) giveBack(p *part) {
	p.deadline.Stop()
	p.handOver()
	p.lose()
	w.mu.Lock()
	delete(w.parts, p.n)
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), queueTime)
	defer cancel()
	_ = w.c.call(ctx, func(ctx context.Context) error { // if it fails, the lease expires
		return extendScript.Run(ctx, w.c.rdb, []string{w.base() + "l:" + strconv.Itoa(p.n)}, p.token, 1).Err()
	})
}

// nudge wakes the work on a part if this instance holds it.
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

// lookForNews wakes the work on each part for which another instance has queued a write.
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

// Held returns a context that ends with the lease.
func (p *part) Held() context.Context { return p.held }

// Next returns queued writes. Unsettled writes of former holders come first.
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
	if p.anew.Swap(false) {
		p.claim = "0-0"
	}
	claiming := p.claim != ""
	reply, err := p.w.run(ctx, p.w.scripts.read, queueTime, p.n, p.token, p.w.c.instance, p.claim, readMost)
	if err != nil {
		// Redis may have run the script. The entries of a reply that was lost count as read, so
		// they must be claimed.
		p.anew.Store(true)
		return nil, false, err
	}
	list, ok := reply.([]any)
	if !ok || len(list) != 2 {
		p.lose()
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

// entryOf decodes a message of the stream.
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

// Load returns the write of an entry.
func (p *part) Load(ctx context.Context, e write.Entry) (*write.Record, error) {
	return p.w.Find(ctx, e.ID)
}

// Put records the result of a write.
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
	if err := p.put(ctx, e, string(state), what, r.Updated, nil); err != nil {
		return err
	}
	if r.Ended() {
		p.w.held.applied(r.Seen, r.ID)
		p.w.acked.settle(r.ID)
	}
	return nil
}

// Lose removes an entry whose write is missing or unreadable, and records it as lost.
func (p *part) Lose(ctx context.Context, e write.Entry) error {
	x := &write.Write{ID: e.ID, Host: e.Lane}
	if d := p.w.acked.lookUp(e.ID); d != nil {
		x.Method, x.Host, x.Path, x.Accepted = d.method, d.host, d.path, d.accepted
	} else if i := strings.IndexAny(e.Lane, "/ "); i >= 0 {
		x.Host, x.Path = e.Lane[:i], strings.TrimLeft(e.Lane[i:], " ")
	}
	state, outline, err := p.w.lostState(x)
	if err != nil {
		return err
	}
	if err := p.put(ctx, e, string(state), "lose", p.w.c.now(), outline); err != nil {
		return err
	}
	p.w.acked.settle(e.ID)
	return nil
}

func (p *part) put(ctx context.Context, e write.Entry, state, what string, at time.Time, outline []byte) error {
	b := p.w.bounds
	reply, err := p.w.run(ctx, p.w.scripts.put, queueTime, p.n, p.token, e.Place, e.ID, state, what, p.w.keep().Milliseconds(), b.Dead, at.UnixMilli(), outline, b.DeadAge.Milliseconds())
	switch {
	case err != nil:
		return err
	case reply == "lost":
		p.lose() // its worker has stopped the lane, so it must not keep the part
		return write.ErrLost
	case reply == "counted":
		p.w.lost.Add(1)
	case reply != "done":
		return errors.New("shared: unexpected reply about the result of a write")
	}
	return nil
}
