package shared

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/proxy/store"
)

const (
	defaultWait = 2 * time.Second // for acknowledgements, unless the caller sets another limit
	publishTime = time.Second     // for publishing a purge; no response waits for it
	maxPending  = 4096            // targets kept for the other instances while Redis is down
)

// limits are the limits of the history in Redis.
type limits struct {
	stream, marks, objects int
	window                 time.Duration
}

// Purges connects this instance to the fleet's history of purges. It reads the history on a
// connection of its own, and applies each purge to the instance's Epochs.
//
// If an instance is cut off from Redis, it continues to serve and fill its memory for
// Config.MaxCutOff. Meanwhile it may serve responses that other instances have purged, and their
// purges report it as missing. After that time its Epochs return Doubtful for every stored
// response. Its fills carry the last epoch that it knew, so the purges that it missed hit them too.
// After reconnecting it applies all missed purges before Current returns true again. Until then the
// shared tier must not be read or written, because the fate of its entries is unknown.
type Purges struct {
	client *Client
	epochs *store.Epochs
	apply  func(store.Purge)
	limits limits
	rdb    redis.UniversalClient // for blocking commands

	scripts struct{ purge, sync, live, acknowledge, leave *redis.Script }

	syncing  sync.Mutex // held during a sync
	mu       sync.Mutex // guards the fields below; never held during a call to Redis
	position position
	goal     uint64              // seq at which the reading is current
	own      map[uint64]struct{} // seqs of this instance's purges that were applied ahead of the stream
	// pending are purges made while Redis was down. Until they are published they hit each response
	// that this instance fetched before it last heard of a purge, since another instance that does
	// not know them may have shared it.
	pending []store.Purge
	members []string // the instances of the fleet at the last sync

	current atomic.Bool
	states  states
	waiters waiters

	stop    context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	closing sync.Once
}

// NewPurges starts to read the history into epochs. apply is called for each purge after epochs
// knows it, by one goroutine at a time; it must not block. It is also called for objects whose
// purge is known only from the contents of the history. The caller must call Close before closing
// c.
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
	p.scripts.leave = redis.NewScript(scriptLeave)
	if c.maxCutOff > 0 {
		epochs.TrustUntil(time.Time{}) // until the history has been read
	}
	p.waiters.init()
	p.states.cut(c.now(), nil)
	p.stop, p.cancel = context.WithCancel(context.Background())
	p.running.Go(p.read)
	p.running.Go(p.collect)
	return p
}

// Close ends the reading, and the membership, so that purges no longer wait for this instance.
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
	keys := []string{p.client.fleetKey("history"), p.client.fleetKey("instances")}
	// If it fails, purges wait for this instance until its membership expires.
	_ = p.scripts.leave.Run(ctx, p.client.rdb, keys, p.client.instance).Err()
}

// Current reports whether all purges that Redis knew at the last connect have been applied.
func (p *Purges) Current() bool { return p.current.Load() }

// keys returns the keys of the scripts in their order.
func (p *Purges) keys() []string {
	names := []string{"history", "stream", "marks", "objects", "times", "instances"}
	for i, name := range names {
		names[i] = p.client.fleetKey(name)
	}
	return names
}

// Purge makes a purge known to all instances and waits until all live instances have applied it,
// but at most for wait (0 means two seconds), plus the same time for Redis itself. It sets Epoch
// and At. The report lists the instances that have not confirmed in time; they will apply the purge
// later. If Redis is down, the purge takes effect on this instance only, and the error is a
// store.ErrUnreached. Such purges are published when Redis is back, if this instance still runs
// then.
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
	began := time.Now() // Took is a duration, so the clock of responses is not used
	purge.At = p.client.now()
	w := p.waiters.enter(wait)
	defer p.waiters.leave(w)
	epoch, live, err := p.publish(ctx, purge, w.id, min(wait, publishTime))
	if err != nil {
		return p.purgeLocally(purge, began, err)
	}
	purge.Epoch = epoch
	p.applyOwn(ctx, purge)
	report := p.await(ctx, w, live, wait)
	report.Epoch, report.Took = epoch, time.Since(began)
	return report, nil
}

// publish adds a purge to the history. It returns its epoch and the instances that must apply it.
func (p *Purges) publish(ctx context.Context, purge store.Purge, id string, bound time.Duration) (store.Epoch, []string, error) {
	soft := 0
	if purge.Soft {
		soft = 1
	}
	l := p.limits
	era, run, members := p.known()
	args := []any{
		p.nextEra(era), strconv.FormatUint(era, 10), l.stream, l.marks, l.objects, l.window.Milliseconds(),
		purge.At.UnixMilli(), soft, encodeTargets(purge.Targets), p.client.instance, id, run, members,
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

// nextEra returns the name of the era that begins if the history is lost.
func (p *Purges) nextEra(known uint64) string {
	return strconv.FormatUint(store.NewEra(p.client.now(), known), 10)
}

func parsePublished(reply []any) (epoch store.Epoch, live []string, err error) {
	if len(reply) != 3 {
		return epoch, nil, fmt.Errorf("shared: unexpected purge reply of %d parts", len(reply))
	}
	era, _ := reply[0].(string)
	seq, _ := reply[1].(string)
	n, errEra := strconv.ParseUint(era, 10, 64)
	m, errSeq := strconv.ParseUint(seq, 10, 64)
	if errEra != nil || errSeq != nil {
		return epoch, nil, fmt.Errorf("shared: unexpected purge reply %.50q %.50q", era, seq)
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

// applyOwn applies a purge that this instance has published, ahead of the stream, so that it is in
// effect when Purge returns.
func (p *Purges) applyOwn(ctx context.Context, purge store.Purge) {
	if p.applyAhead(purge) {
		return
	}
	err := p.sync(ctx) // a new era has begun, to which no stored response belongs
	if err == nil {
		return
	}
	p.client.log.Warn("a new history of purges has begun, which this instance can't read yet", "error", err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.apply(p.epochs.ApplyLocal(purge))
}

// applyAhead applies a purge ahead of the stream. It reports false if the purge belongs to another
// era than the known one.
func (p *Purges) applyAhead(purge store.Purge) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if purge.Epoch.Era == p.position.era && purge.Epoch.Fleet() <= p.position.seq {
		return true // the stream was faster
	}
	if !p.epochs.Apply(purge, p.pending...) {
		return false
	}
	p.own[purge.Epoch.Fleet()] = struct{}{}
	p.apply(purge)
	return true
}

// purgeLocally applies a purge without Redis and keeps it for the other instances.
func (p *Purges) purgeLocally(purge store.Purge, began time.Time, cause error) (store.Report, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	purge = p.epochs.ApplyLocal(purge)
	p.apply(purge)
	p.keepForOthers(purge)
	return store.Report{Epoch: purge.Epoch, Instances: 1, Applied: 1, Took: time.Since(began)},
		fmt.Errorf("%w (%w); repeat it when Redis answers again, which /readyz shows", store.ErrUnreached, cause)
}

// keepForOthers queues a purge for publication. The caller holds the lock.
func (p *Purges) keepForOthers(purge store.Purge) {
	n := len(purge.Targets)
	for i := range p.pending {
		n += len(p.pending[i].Targets)
	}
	if n > maxPending {
		// Replace the queue by one purge of everything, so that no purged response comes back for
		// lack of room.
		p.client.log.Warn("too many purges were made while Redis was down to publish them one by one; the other instances will purge everything")
		p.pending = []store.Purge{{At: purge.At, Targets: everything()}}
		return
	}
	p.pending = append(p.pending, purge)
}

// publishPending publishes the purges that were made while Redis was down.
func (p *Purges) publishPending(ctx context.Context) error {
	for {
		p.mu.Lock()
		if len(p.pending) == 0 {
			p.mu.Unlock()
			return nil
		}
		first := p.pending[0]
		p.mu.Unlock()
		epoch, _, err := p.publish(ctx, first, "", publishTime)
		if err != nil {
			return err
		}
		// The instance may have forgotten it together with an era. It must know the purge before it
		// reads the shared tier, and the stream brings it later.
		first.Epoch = epoch
		if !p.applyAhead(first) {
			return errors.New("a new history has begun")
		}
		p.mu.Lock()
		// Otherwise a purge of everything has replaced it.
		if len(p.pending) > 0 && p.pending[0].At.Equal(first.At) {
			p.pending = p.pending[1:] // new ones are only appended, and only one goroutine publishes
		}
		p.mu.Unlock()
	}
}
