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
	waitingConns = 2               // one reads the stream, one the acknowledgements
	beat         = time.Second     // how often an instance says that it lives and looks where the history stands
	lifetime     = 3 * time.Second // how long that is believed
	readCount    = 512             // purges read at once
	minAgain     = 20 * time.Millisecond
	maxAgain     = time.Second
)

// PurgesState is how the reading of the history goes.
type PurgesState struct {
	Connected bool
	Current   bool        // everything up to the last connecting has been applied
	Position  store.Epoch // the newest purge that is applied
	Lag       uint64      // purges that Redis has beyond Position, as far as is known
	Since     time.Time   // of being connected, or cut off
	Err       error       // why it was cut off last
}

// states is the part of PurgesState that changes with the connection.
type states struct {
	mu        sync.Mutex
	connected bool
	since     time.Time
	err       error
	head      store.Epoch // the newest purge that Redis was seen to have
}

// cut reports whether that is new.
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

// State tells how the reading goes.
func (p *Purges) State() PurgesState {
	p.mu.Lock()
	at := store.FleetEpoch(p.place.era, p.place.seq)
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

// read follows the history until Close, through all losses of the connection.
func (p *Purges) read() {
	again := minAgain
	for p.stop.Err() == nil {
		began := time.Now()
		err := p.follow()
		p.current.Store(false)
		if p.states.cut(p.client.now(), err) && p.stop.Err() == nil {
			p.client.log.Warn("cut off from the history of purges; memory is served on, the shared tier is not used until it is read again", "error", err)
		}
		if time.Since(began) > maxAgain {
			again = minAgain
		}
		pause(p.stop, again)
		again = min(2*again, maxAgain)
	}
}

// follow reads until an error.
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
	from := p.place
	p.mu.Unlock()
	wait = max(wait, time.Millisecond) // 0 would be for ever
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

// patience is how long a reply may take.
func (p *Purges) patience() time.Duration { return max(4*p.client.timeout, minSocket) }

// applyAll applies what was read from a place on, and acknowledges it.
func (p *Purges) applyAll(from place, messages []redis.XMessage) error {
	words, whole := p.applySome(from, messages)
	p.acknowledge(words)
	if !whole {
		return p.sync(p.stop)
	}
	return nil
}

// applySome returns what is to be acknowledged, and whether each purge was the one that came next.
func (p *Purges) applySome(from place, messages []redis.XMessage) (words []notice, whole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.place != from {
		return nil, true // a sync has gone ahead: these are read again, or out of date
	}
	for _, m := range messages {
		n, err := parseNotice(m)
		if err != nil || n.Epoch.Era != p.place.era || n.Epoch.Fleet() != p.place.seq+1 {
			return words, false
		}
		p.applyNext(n.Purge)
		if n.id != "" && n.to != p.client.instance {
			words = append(words, n)
		}
	}
	return words, true
}

// applyNext applies the purge after place. The lock is held.
func (p *Purges) applyNext(purge store.Purge) {
	p.place.seq = purge.Epoch.Fleet()
	if _, done := p.own[p.place.seq]; done {
		delete(p.own, p.place.seq)
		return
	}
	p.epochs.Apply(purge)
	p.apply(purge)
}

// arrived reports whether all is applied that there was when it was connected.
func (p *Purges) arrived() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.place.seq >= p.goal
}

// sync looks where the history stands, says that this instance lives, and takes over the state of the history where the stream does not lead to it.
func (p *Purges) sync(ctx context.Context) error {
	p.syncing.Lock()
	defer p.syncing.Unlock()
	p.mu.Lock()
	from := p.place
	p.mu.Unlock()
	s, err := p.ask(ctx, from)
	if err != nil {
		return err
	}
	p.adopt(s)
	p.states.connect(p.client.now(), store.FleetEpoch(s.place.era, s.place.seq))
	if !p.arrived() {
		return nil
	}
	err = p.publishPending(ctx)
	if p.Current() {
		// Calls may fail while this connection lasts: purges made then are told at one of the next beats.
		return nil
	}
	if err != nil {
		return fmt.Errorf("shared: telling the others of purges that were made without Redis: %w", err)
	}
	p.current.Store(true)
	p.client.log.Info("the history of purges is read", "purges", s.place.seq)
	return nil
}

// ask runs the script. It is the same for an instance that begins, that returns, and that only says that it lives.
func (p *Purges) ask(ctx context.Context, from place) (standing, error) {
	ctx, cancel := context.WithTimeout(ctx, p.patience())
	defer cancel()
	reply, err := p.scripts.sync.Run(ctx, p.rdb, p.keys(),
		strconv.FormatUint(store.NewEra(), 10), p.limits.stream, p.client.instance, lifetime.Milliseconds(),
		strconv.FormatUint(from.era, 10), strconv.FormatUint(from.seq, 10), from.turn, from.run, encodeTargets(everything()),
	).Slice()
	if err != nil {
		return standing{}, err
	}
	return parseStanding(reply)
}

// adopt takes over what Redis says, and the state of the history where it was sent. What the stream can't tell any more of single objects, the state
// tells for the last minutes; if they are too few, everything that was stored before counts as purged.
func (p *Purges) adopt(s standing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.place
	if !p.Current() {
		p.goal = s.place.seq
	}
	p.place.turn, p.place.run = s.place.turn, s.place.run
	if s.mode != modeFull {
		return
	}
	p.epochs.Restore(s.history)
	p.place = s.place
	clear(p.own)
	if before.era != s.place.era {
		return // whatever was stored before is of another era
	}
	p.place.seq = max(before.seq, s.place.seq)
	if s.gone > before.seq {
		p.epochs.Apply(store.Purge{Epoch: s.history.Epoch, At: p.client.now(), Targets: everything()})
	}
	p.applyObjects(s.history, store.FleetEpoch(0, before.seq).Seq)
}

// applyObjects deletes the objects that a history says were purged after seq.
func (p *Purges) applyObjects(h store.History, seq uint64) {
	for _, m := range h.Marks {
		if m.Target.Kind == store.TargetObject && !m.Soft && !m.Floor && m.Seq > seq {
			p.apply(store.Purge{Epoch: store.Epoch{Era: h.Epoch.Era, Seq: m.Seq}, At: m.At, Targets: []store.Target{m.Target}})
		}
	}
}
