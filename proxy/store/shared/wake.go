package shared

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/proxy/store"
)

const (
	// leasePulse is the interval at which an instance that waits for a lease checks that Redis
	// answers and still has the lease.
	leasePulse = 25 * time.Millisecond
	// leaseMisses is the number of failed checks in a row after which waiting fills go on without
	// Redis.
	leaseMisses = 2
	// mostWatched limits the leases checked in one pulse. The others expire by themselves.
	mostWatched = 256
	// silence is how long the connection for messages may be quiet before it is given up.
	silence = 2 * time.Second
)

// Leases acquires leases, and receives the ends of leases that other instances hold. It may be used
// concurrently.
type Leases struct {
	c       *Client
	stop    context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	begun   chan struct{} // holds a token after a Wait was added
	mu      sync.Mutex
	waiting map[string]map[*Wait]struct{} // by topic, which is the lease's key
}

// NewLeases returns a Leases that listens to other instances on a connection of its own. The caller
// must call Close before closing the client.
func NewLeases(c *Client) *Leases {
	l := &Leases{c: c, begun: make(chan struct{}, 1), waiting: make(map[string]map[*Wait]struct{})}
	l.stop, l.cancel = context.WithCancel(c.stop)
	l.running.Go(l.listen)
	l.running.Go(l.watch)
	return l
}

// Close ends the listening.
func (l *Leases) Close() error {
	l.cancel()
	l.running.Wait()
	return nil
}

// listen delivers the messages of other instances. If the connection breaks, messages may be lost,
// so all waiting fills are woken to check for themselves.
func (l *Leases) listen() {
	for l.stop.Err() == nil {
		messages := l.c.rdb.Subscribe(l.stop, l.c.wakeChannel(l.c.instance))
		err := l.receive(messages)
		_ = messages.Close() // the connection is broken, or the listening ends
		if l.stop.Err() != nil {
			return
		}
		l.c.log.Debug("messages about leases may have been lost", "error", err)
		l.wakeAll()
		pause(l.stop, minAgain)
	}
}

// receive delivers messages until the connection breaks, or stays quiet although it was pinged.
func (l *Leases) receive(messages *redis.PubSub) error {
	end := context.AfterFunc(l.stop, func() { _ = messages.Close() }) // ends a blocked read
	defer end()
	asked := false
	for {
		received, err := messages.ReceiveTimeout(l.stop, silence/2)
		var late net.Error
		switch {
		case err == nil:
			asked = false
			if m, ok := received.(*redis.Message); ok {
				if topic, result, ok := parseMessage(m.Payload); ok {
					l.wake(topic, result)
				}
			}
		case asked || !errors.As(err, &late) || !late.Timeout():
			return err
		default:
			if err := messages.Ping(l.stop); err != nil {
				return err
			}
			asked = true
		}
	}
}

func (l *Leases) wake(topic string, r store.LeaseResult) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.waiting[topic] {
		w.result <- r // has room for one value, and w is removed here
	}
	delete(l.waiting, topic)
}

// wakeAll wakes all waiting fills.
func (l *Leases) wakeAll() {
	for _, topic := range l.topics() {
		l.wake(topic, store.Vanished)
	}
}

// topics returns the leases for which fills wait.
func (l *Leases) topics() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.waiting))
}

// watch checks the awaited leases, as long as there are any.
func (l *Leases) watch() {
	for {
		select {
		case <-l.stop.Done():
			return
		case <-l.begun:
		}
		l.watchUntilIdle()
	}
}

// watchUntilIdle wakes the fills that wait for a vanished lease: Redis was emptied, evicted the
// lease, or failed over to a replica that had not received it. If Redis does not answer, it wakes
// all waiting fills. It returns when no fill waits.
func (l *Leases) watchUntilIdle() {
	// Leases missing at the last check: the holder's message may be on its way.
	failed, missed := 0, map[string]bool{}
	for l.stop.Err() == nil {
		pause(l.stop, leasePulse)
		topics := l.topics()
		if len(topics) == 0 {
			return
		}
		gone, err := l.gone(topics[:min(len(topics), mostWatched)])
		if err != nil {
			if failed++; failed >= leaseMisses {
				l.wakeAll()
			}
			continue
		}
		failed = 0
		now := make(map[string]bool, len(gone))
		for _, topic := range gone {
			if now[topic] = true; missed[topic] {
				l.wake(topic, store.Vanished)
			}
		}
		missed = now
	}
}

// gone returns the leases that Redis does not have.
func (l *Leases) gone(topics []string) (gone []string, err error) {
	found := make([]*redis.IntCmd, len(topics))
	err = l.c.call(l.stop, func(ctx context.Context) error {
		_, err := l.c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, topic := range topics {
				found[i] = p.Exists(ctx, topic)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("checking leases: %w", err)
	}
	for i, topic := range topics {
		if n, err := found[i].Result(); err == nil && n == 0 {
			gone = append(gone, topic)
		}
	}
	return gone, nil
}

// await registers a Wait.
func (l *Leases) await(topic string) *Wait {
	w := &Wait{leases: l, topic: topic, result: make(chan store.LeaseResult, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[topic] == nil {
		l.waiting[topic] = make(map[*Wait]struct{})
	}
	l.waiting[topic][w] = struct{}{}
	select {
	case l.begun <- struct{}{}:
	default:
	}
	return w
}

// Wait waits for the end of another instance's lease.
type Wait struct {
	leases  *Leases
	topic   string
	result  chan store.LeaseResult
	expires time.Duration // remaining time of the holder's lease
}

// For waits until the holder releases the lease, or ctx is done. It returns Vanished if the lease
// has expired or is gone, or if Redis does not answer. It ends the Wait.
func (w *Wait) For(ctx context.Context) store.LeaseResult {
	defer w.Leave()
	// A live holder has renewed its lease by then. The caller finds out by asking again.
	timer := time.NewTimer(w.expires + time.Millisecond)
	defer timer.Stop()
	select {
	case r := <-w.result:
		return r
	case <-timer.C:
	case <-ctx.Done():
	}
	return store.Vanished
}

// Leave ends the Wait.
func (w *Wait) Leave() {
	w.leases.mu.Lock()
	defer w.leases.mu.Unlock()
	delete(w.leases.waiting[w.topic], w)
	if len(w.leases.waiting[w.topic]) == 0 {
		delete(w.leases.waiting, w.topic)
	}
}
