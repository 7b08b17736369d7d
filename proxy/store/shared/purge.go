package shared

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/proxy/store"
)

const (
	defaultWait = 2 * time.Second // for acknowledgements, where the caller names no other
	publishTime = time.Second     // for telling Redis of a purge: nobody's response waits for it
	maxPending  = 4096            // targets that are kept for the others while Redis is away
)

// limits are how much of the history is kept in Redis.
type limits struct {
	stream, marks, objects int
	window                 time.Duration
}

// Purges is this instance's part in the history of purges that the fleet has in common. It reads the history on a connection of its own, and
// applies each purge to the instance's Epochs.
//
// While the instance is cut off from Redis it goes on serving what its memory holds, and may fill it: responses that others have purged meanwhile are
// among it, which is the price of answering at all. What it fills then carries the last epoch that it knew, so what it missed hits that too. On being
// back it applies all that it missed before Current is true again; until then the shared tier must not be read nor written, because what is there
// can't be judged yet.
type Purges struct {
	client *Client
	epochs *store.Epochs
	apply  func(store.Purge)
	limits limits
	rdb    redis.UniversalClient // for what waits in Redis

	scripts struct{ purge, sync, live, acknowledge *redis.Script }

	syncing sync.Mutex // held while Redis is asked where the history stands
	mu      sync.Mutex // guards what follows; never held while Redis is waited for
	place   place
	goal    uint64              // the place at which the reading is current
	own     map[uint64]struct{} // purges of this instance that were applied ahead of the stream, by seq
	pending []store.Purge       // made while Redis was away

	current atomic.Bool
	states  states
	waiters waiters

	stop    context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	closing sync.Once
}

// NewPurges begins to read the history into epochs. apply is called for each purge after epochs knows it, by one goroutine at a time; it must not
// block. It is also called for objects of which only the state of the history tells that they were purged. Close ends the reading; it must come
// before that of c.
func NewPurges(c *Client, epochs *store.Epochs, apply func(store.Purge)) *Purges {
	return newPurges(c, epochs, apply, limits{stream: 1 << 14, marks: 1 << 15, objects: 1 << 15, window: store.ObjectWindow})
}

func newPurges(c *Client, epochs *store.Epochs, apply func(store.Purge), l limits) *Purges {
	p := &Purges{client: c, epochs: epochs, apply: apply, limits: l, own: make(map[uint64]struct{})}
	if p.apply == nil {
		p.apply = func(store.Purge) {}
	}
	o := options(c.timeout)
	o.PoolSize, o.MaxActiveConns, o.PoolTimeout = waitingConns, waitingConns, publishTime
	p.rdb = c.where.open(o)
	p.scripts.purge, p.scripts.sync = redis.NewScript(scriptPurge), redis.NewScript(scriptSync)
	p.scripts.live, p.scripts.acknowledge = redis.NewScript(scriptLive), redis.NewScript(scriptAcknowledge)
	p.waiters.init()
	p.states.cut(c.now(), nil)
	p.stop, p.cancel = context.WithCancel(context.Background())
	p.running.Go(p.read)
	p.running.Go(p.collect)
	return p
}

// Close ends the reading, and tells the others that they need not wait for this instance any more.
func (p *Purges) Close() error {
	var err error
	p.closing.Do(func() {
		p.cancel()
		err = p.rdb.Close() // ends reads that wait
		p.running.Wait()
		p.leave()
	})
	return err
}

func (p *Purges) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), p.client.timeout)
	defer cancel()
	if p.client.breaker.skips() {
		return
	}
	_ = p.client.rdb.ZRem(ctx, p.client.fleetKey("instances"), p.client.instance).Err() // else it is waited for until its time is over
}

// Current reports whether all purges that Redis knew of when the connection to it was made have been applied.
func (p *Purges) Current() bool { return p.current.Load() }

// keys are those of the scripts, in their order.
func (p *Purges) keys() []string {
	names := []string{"history", "stream", "marks", "objects", "times", "instances"}
	for i, name := range names {
		names[i] = p.client.fleetKey(name)
	}
	return names
}

// Purge makes a purge, of which Epoch and At are filled in, known to all instances, and waits until all that live have applied it, but no longer than
// wait (0: two seconds), and than that again for Redis itself. Those that have not said so by then are in the report; they will apply it all the
// same. When Redis is away the purge holds on this instance alone, and the error is a store.ErrUnreached. Such purges are published when Redis is
// back, should this instance still run then.
func (p *Purges) Purge(ctx context.Context, purge store.Purge, wait time.Duration) (store.Report, error) {
	if err := purge.Check(); err != nil {
		return store.Report{}, err
	}
	if p.stop.Err() != nil {
		return store.Report{}, store.ErrClosed
	}
	if wait <= 0 {
		wait = defaultWait
	}
	began := time.Now() // Took is a length of time: the clock of responses is not asked
	purge.At = p.client.now()
	w := p.waiters.enter(wait)
	defer p.waiters.leave(w)
	epoch, live, err := p.publish(ctx, purge, w.id, min(wait, publishTime))
	if err != nil {
		return p.alone(purge, began, err)
	}
	purge.Epoch = epoch
	if err := p.applyOwn(ctx, purge); err != nil {
		p.client.log.Warn("this instance applies a purge only when it can read the history", "error", err)
	}
	report := p.await(ctx, w, live, wait)
	report.Epoch, report.Took = epoch, time.Since(began)
	return report, nil
}

// publish enters a purge into the history, and returns its epoch and who must apply it.
func (p *Purges) publish(ctx context.Context, purge store.Purge, id string, bound time.Duration) (store.Epoch, []string, error) {
	soft := 0
	if purge.Soft {
		soft = 1
	}
	l := p.limits
	args := []any{
		strconv.FormatUint(store.NewEra(), 10), l.stream, l.marks, l.objects, l.window.Milliseconds(),
		purge.At.UnixMilli(), soft, encodeTargets(purge.Targets), p.client.instance, id,
	}
	for _, t := range purge.Targets {
		args = append(args, member(t, purge.Soft))
	}
	var reply []any
	err := p.client.callFor(ctx, max(bound, p.client.timeout), func(ctx context.Context) (err error) {
		reply, err = p.scripts.purge.Run(ctx, p.client.rdb, p.keys(), args...).Slice()
		return err
	})
	if err != nil {
		return store.Epoch{}, nil, err
	}
	return parsePublished(reply)
}

func parsePublished(reply []any) (epoch store.Epoch, live []string, err error) {
	if len(reply) != 3 {
		return epoch, nil, fmt.Errorf("shared: reply of %d parts to a purge", len(reply))
	}
	era, _ := reply[0].(string)
	seq, _ := reply[1].(string)
	n, errEra := strconv.ParseUint(era, 10, 64)
	m, errSeq := strconv.ParseUint(seq, 10, 64)
	if errEra != nil || errSeq != nil {
		return epoch, nil, fmt.Errorf("shared: reply %.50q %.50q to a purge", era, seq)
	}
	return store.FleetEpoch(n, m), texts(reply[2]), nil
}

func texts(reply any) []string {
	list, _ := reply.([]any)
	names := make([]string, 0, len(list))
	for _, v := range list {
		if s, ok := v.(string); ok {
			names = append(names, s)
		}
	}
	return names
}

// applyOwn applies a purge that this instance has published, ahead of the stream: whoever asked for it sees its effect when Purge returns.
func (p *Purges) applyOwn(ctx context.Context, purge store.Purge) error {
	if p.applyAhead(purge) {
		return nil
	}
	return p.sync(ctx) // the history has begun anew
}

// applyAhead reports false when the purge is of another era than is known.
func (p *Purges) applyAhead(purge store.Purge) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if purge.Epoch.Era == p.place.era && purge.Epoch.Fleet() <= p.place.seq {
		return true // the stream was quicker
	}
	if !p.epochs.Apply(purge) {
		return false
	}
	p.own[purge.Epoch.Fleet()] = struct{}{}
	p.apply(purge)
	return true
}

// alone is Purge without Redis.
func (p *Purges) alone(purge store.Purge, began time.Time, cause error) (store.Report, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	purge = p.epochs.ApplyLocal(purge)
	p.apply(purge)
	p.remember(purge)
	return store.Report{Epoch: purge.Epoch, Instances: 1, Applied: 1, Took: time.Since(began)},
		fmt.Errorf("%w (%w); repeat it when Redis answers again, which /readyz shows", store.ErrUnreached, cause)
}

// remember keeps a purge for the others. The lock is held.
func (p *Purges) remember(purge store.Purge) {
	n := len(purge.Targets)
	for i := range p.pending {
		n += len(p.pending[i].Targets)
	}
	if n > maxPending {
		// Nothing that was purged may come back for want of room: the others purge everything instead.
		p.client.log.Warn("too many purges were made while Redis was away to tell them one by one: the others will purge everything")
		p.pending = []store.Purge{{At: purge.At, Targets: everything()}}
		return
	}
	p.pending = append(p.pending, purge)
}

// publishPending tells the others of the purges that were made while Redis was away.
func (p *Purges) publishPending(ctx context.Context) error {
	for {
		p.mu.Lock()
		if len(p.pending) == 0 {
			p.mu.Unlock()
			return nil
		}
		first := p.pending[0]
		p.mu.Unlock()
		if _, _, err := p.publish(ctx, first, "", publishTime); err != nil {
			return err
		}
		p.mu.Lock()
		if len(p.pending) > 0 && p.pending[0].At.Equal(first.At) { // else one of everything has taken its place
			p.pending = p.pending[1:] // others are only added at the end, and only one goroutine publishes
		}
		p.mu.Unlock()
	}
}
