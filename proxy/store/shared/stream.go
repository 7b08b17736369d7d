package shared

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/proxy/store"
)

const (
	waitingConns = 2           // one reads the stream, one the acknowledgements
	beat         = time.Second // interval at which an instance checks the history and renews its membership
	readCount    = 512         // purges per read
	minAgain     = 20 * time.Millisecond
	maxAgain     = 250 * time.Millisecond
)

// PurgesState is the state of the connection to the history of purges.
type PurgesState struct {
	Connected bool
	Current   bool        // true if all purges that existed at the last connect have been applied
	Position  store.Epoch // newest applied purge
	Lag       uint64      // known purges in Redis beyond Position
	Since     time.Time   // time of the last connect or disconnect
	Err       error       // reason of the last disconnect
}

// states is the part of PurgesState that changes with the connection.
type states struct {
	mu        sync.Mutex
	connected bool
	since     time.Time
	err       error
	head      store.Epoch // newest purge that was seen in Redis
}

// cut records a disconnect, and reports whether the state has changed.
func (s *states) cut(now time.Time, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	isNew := s.connected || s.since.IsZero()
	if isNew {
		s.since = now
	}
	s.connected, s.err = false, err
	return isNew
}

func (s *states) connect(now time.Time, head store.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.connected {
		s.since = now
	}
	s.connected, s.head = true, head
}

// State returns the state of the connection to the history.
func (p *Purges) State() PurgesState {
	p.mu.Lock()
	at := store.FleetEpoch(p.position.era, p.position.seq)
	p.mu.Unlock()
	s := &p.states
	s.mu.Lock()
	defer s.mu.Unlock()
	state := PurgesState{Connected: s.connected, Current: p.Current(), Position: at, Since: s.since, Err: s.err}
	if s.head.Era == at.Era && s.head.Fleet() > at.Fleet() {
		state.Lag = s.head.Fleet() - at.Fleet()
	}
	return state
}

// read follows the history until Close. After a lost connection it reconnects.
func (p *Purges) read() {
	again := minAgain
	for p.stop.Err() == nil {
		began := time.Now()
		err := p.follow()
		p.current.Store(false)
		if p.states.cut(p.client.now(), err) && p.stop.Err() == nil {
			p.client.log.Warn("cut off from the history of purges; the shared tier is not used until the history is read again", "max_cut_off", p.client.maxCutOff, "error", err)
		}
		if time.Since(began) > maxAgain {
			again = minAgain
		}
		if cluster, ok := p.rdb.(*redis.ClusterClient); ok {
			// The client itself looks for a new primary only once a minute if the old one does not
			// answer.
			cluster.ReloadState(p.stop)
		}
		pause(p.stop, again)
		again = min(2*again, maxAgain)
	}
}

// follow reads purges until an error.
func (p *Purges) follow() error {
	for {
		if err := p.sync(p.stop); err != nil {
			return err
		}
		for next := time.Now().Add(beat); time.Now().Before(next); {
			if err := p.readSome(time.Until(next)); err != nil {
				return err
			}
			if !p.Current() && p.arrived() {
				break
			}
		}
	}
}

// readSome waits for purges and applies them.
func (p *Purges) readSome(wait time.Duration) error {
	p.mu.Lock()
	from := p.position
	p.mu.Unlock()
	wait = max(wait, time.Millisecond) // 0 would block for ever
	ctx, cancel := context.WithTimeout(p.stop, wait+p.patience())
	defer cancel()
	read, err := p.rdb.XRead(ctx, &redis.XReadArgs{
		Streams: []string{p.client.fleetKey("stream"), strconv.FormatUint(from.seq, 10) + "-0"}, Count: readCount, Block: wait,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, s := range read {
		if err := p.applyAll(from, s.Messages); err != nil {
			return err
		}
	}
	return nil
}

// patience returns the limit for a reply.
func (p *Purges) patience() time.Duration { return max(4*p.client.timeout, minSocket) }

// applyAll applies the purges that were read from a position on, and acknowledges them.
func (p *Purges) applyAll(from position, messages []redis.XMessage) error {
	words, whole := p.applySome(from, messages)
	p.acknowledge(words)
	if !whole {
		return p.sync(p.stop)
	}
	return nil
}

// applySome applies the purges and returns the ones to acknowledge. whole is false if a purge was
// not the next one.
func (p *Purges) applySome(from position, messages []redis.XMessage) (words []notice, whole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.position != from {
		return nil, true // a sync has moved the position: these purges are read again, or out of date
	}
	for _, m := range messages {
		n, err := parseNotice(m)
		if err != nil || n.Epoch.Era != p.position.era || n.Epoch.Fleet() != p.position.seq+1 {
			return words, false
		}
		p.applyNext(n.Purge)
		if n.id != "" && n.to != p.client.instance {
			words = append(words, n)
		}
	}
	return words, true
}

// applyNext applies the purge after the position. The caller holds the lock.
func (p *Purges) applyNext(purge store.Purge) {
	p.position.seq = purge.Epoch.Fleet()
	if _, done := p.own[p.position.seq]; done {
		delete(p.own, p.position.seq)
		return
	}
	p.epochs.Apply(purge, p.pending...)
	p.apply(purge)
}

// arrived reports whether all purges that existed at connect time are applied.
func (p *Purges) arrived() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.position.seq >= p.goal
}

// sync asks Redis for the state of the history and renews the membership. If the stream no longer
// reaches back to the position, sync takes over the contents of the history.
func (p *Purges) sync(ctx context.Context) error {
	p.syncing.Lock()
	defer p.syncing.Unlock()
	p.mu.Lock()
	from := p.position
	p.mu.Unlock()
	if p.epochs.Doubts() {
		// The process was paused for so long that purges no longer waited for it, and found its
		// connections as it had left them. It must read what it missed, as after a lost connection,
		// before it serves without asking again.
		p.current.Store(false)
	}
	asked := time.Now()
	s, err := p.ask(ctx, from)
	if err != nil {
		return err
	}
	p.adopt(s)
	p.states.connect(p.client.now(), store.FleetEpoch(s.position.era, s.position.seq))
	if !p.arrived() {
		return nil
	}
	err = p.publishPending(ctx)
	if p.Current() {
		// Calls may fail while this connection lasts. The purges are then published at one of the
		// next beats.
		p.trust(asked)
		return nil
	}
	if err != nil {
		return fmt.Errorf("shared: publishing the purges that were made without Redis: %w", err)
	}
	p.trust(asked)
	p.current.Store(true)
	p.client.log.Info("the history of purges is up to date", "purges", s.position.seq)
	return nil
}

// ask runs scriptSync. The call is the same for an instance that starts, returns, or only renews
// its membership.
func (p *Purges) ask(ctx context.Context, from position) (syncReply, error) {
	ctx, cancel := context.WithTimeout(ctx, p.patience())
	defer cancel()
	_, _, members := p.known()
	reply, err := p.scripts.sync.Run(ctx, p.rdb, p.keys(),
		p.nextEra(from.era), strconv.FormatUint(from.era, 10), p.limits.stream, p.client.instance, p.membership().Milliseconds(),
		strconv.FormatUint(from.seq, 10), from.turn, from.run, encodeTargets(everything()), members,
	).Slice()
	if err != nil {
		return syncReply{}, err
	}
	return parseSyncReply(reply)
}

// adopt takes over the reply and, if Redis sent them, the contents of the history. For purges of
// single objects the contents reach back only some minutes. If the gap is longer, every response
// that was stored before counts as purged.
func (p *Purges) adopt(s syncReply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members = s.members
	before := p.position
	if !p.Current() || before.era != s.position.era { // sequence numbers of different eras are not comparable
		p.goal = s.position.seq
	}
	p.position.turn, p.position.run = s.position.turn, s.position.run
	if s.mode != modeFull {
		return
	}
	p.epochs.Restore(s.history, p.pending...)
	p.position = s.position
	clear(p.own)
	if before.era != s.position.era {
		return // all responses stored before belong to another era
	}
	p.position.seq = max(before.seq, s.position.seq)
	if s.gone > before.seq {
		p.epochs.Apply(store.Purge{Epoch: s.history.Epoch, At: p.client.now(), Targets: everything()}, p.pending...)
	}
	p.applyObjects(s.history, store.FleetEpoch(0, before.seq).Seq)
}

// applyObjects passes on the objects that a history lists as purged after seq, so that they are
// deleted.
func (p *Purges) applyObjects(h store.History, seq uint64) {
	for _, m := range h.Entries {
		if m.Target.Kind == store.TargetObject && !m.Soft && !m.Floor && m.Seq > seq {
			p.apply(store.Purge{Epoch: store.Epoch{Era: h.Epoch.Era, Seq: m.Seq}, At: m.At, Targets: []store.Target{m.Target}})
		}
	}
}
