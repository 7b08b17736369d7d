package shared

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/proxy/store"
)

// Leases gives out leases, and is told of the end of those that other instances hold. It may be used concurrently.
type Leases struct {
	c       *Client
	pubsub  *redis.PubSub
	ended   chan struct{}
	mu      sync.Mutex
	waiting map[string]map[*Wait]struct{} // by topic
}

// NewLeases listens for the word of other instances on a connection of its own. Close ends it, before the client's.
func NewLeases(c *Client) *Leases {
	l := &Leases{c: c, ended: make(chan struct{}), waiting: make(map[string]map[*Wait]struct{})}
	l.pubsub = c.rdb.Subscribe(c.stop, c.wakeChannel(c.instance))
	go l.listen()
	return l
}

// listen hands on what is heard. While Redis is away nothing is heard, and whoever waits goes on when the lease that it waits for would have ended.
func (l *Leases) listen() {
	defer close(l.ended)
	for m := range l.pubsub.Channel() {
		if topic, result, ok := parseMessage(m.Payload); ok {
			l.wake(topic, result)
		}
	}
}

// Close ends the listening.
func (l *Leases) Close() error {
	err := l.pubsub.Close()
	<-l.ended
	return err
}

func (l *Leases) wake(topic string, r store.LeaseResult) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.waiting[topic] {
		w.result <- r // has room for one, and w is taken out here
	}
	delete(l.waiting, topic)
}

// await enters a place to be told at.
func (l *Leases) await(topic string) *Wait {
	w := &Wait{leases: l, topic: topic, result: make(chan store.LeaseResult, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[topic] == nil {
		l.waiting[topic] = make(map[*Wait]struct{})
	}
	l.waiting[topic][w] = struct{}{}
	return w
}

// Wait is a place in which the end of another instance's lease is awaited.
type Wait struct {
	leases  *Leases
	topic   string
	result  chan store.LeaseResult
	expires time.Duration // how long the holder's lease had still to live
}

// For waits until the holder has ended, its lease would have run out (Vanished), or ctx is done. It gives up the place.
func (w *Wait) For(ctx context.Context) store.LeaseResult {
	defer w.Leave()
	// A holder that lives has prolonged its lease by then, and whoever asks again is told so.
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

// Leave gives up the place.
func (w *Wait) Leave() {
	w.leases.mu.Lock()
	defer w.leases.mu.Unlock()
	delete(w.leases.waiting[w.topic], w)
	if len(w.leases.waiting[w.topic]) == 0 {
		delete(w.leases.waiting, w.topic)
	}
}
