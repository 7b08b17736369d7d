package shared

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

const (
	// leaseFor is the duration of a lease without renewal. Other instances wait this long for an
	// instance that has died.
	leaseFor = time.Second
	// fenceFor is how long the last token of an object is kept. Later tokens are greater even
	// without it, because they follow the clock of Redis.
	fenceFor = time.Hour
)

// acquireScript takes a lease, or adds the instance to those that are told of its end. KEYS: lease,
// fence, waiters. ARGV: instance, duration of the lease and of the fence in ms. It returns 1 and
// the token, or 0 and the remaining time of the holder's lease.
//
// Tokens are microseconds of the server's clock, and always greater than the last one. They stay in
// order even if the last token was lost.
var acquireScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then
	redis.call('SADD', KEYS[3], ARGV[1])
	redis.call('PEXPIRE', KEYS[3], 60000)
	return {0, math.max(0, redis.call('PTTL', KEYS[1]))}
end
local clock = redis.call('TIME')
local token = clock[1] * 1000000 + clock[2]
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if last >= token then token = last + 1 end
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text, 'PX', ARGV[3])
redis.call('SET', KEYS[1], text, 'PX', ARGV[2])
return {1, text}`)

// fenceScript returns the next token without a lease. KEYS: fence. ARGV: duration of the fence in
// ms.
var fenceScript = redis.NewScript(`
local clock = redis.call('TIME')
local token = clock[1] * 1000000 + clock[2]
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
if last >= token then token = last + 1 end
local text = string.format('%.0f', token)
redis.call('SET', KEYS[1], text, 'PX', ARGV[1])
return text`)

// extendScript extends a lease that is still held. KEYS: lease. ARGV: token, ms.
var extendScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`)

// releaseScript ends a lease and notifies the waiting instances. KEYS: lease, waiters. ARGV: token,
// prefix of the channels' names, message. If the lease has gone to another holder, the script
// notifies no instance: they wait for the new holder.
var releaseScript = redis.NewScript(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
local waiting = redis.call('SMEMBERS', KEYS[2])
redis.call('DEL', KEYS[2])
for _, instance in ipairs(waiting) do redis.call('PUBLISH', ARGV[2] .. instance, ARGV[3]) end
return #waiting`)

// errHeld means that another instance holds the lease.
var errHeld = errors.New("shared: the lease is held")

// Lease is the right to fill a key on behalf of all instances. It is renewed until Release. It may
// be used concurrently.
type Lease struct {
	c      *Client
	keys   [3]string // lease, fence, waiters
	topic  string
	token  uint64
	cancel context.CancelFunc
	ended  chan struct{}
}

// leaseKeys returns the keys of the lease of one flight of an object. All are in the object's slot.
func (c *Client) leaseKeys(k cachepolicy.Key, flight string) [3]string {
	object := c.objectKey(k)
	return [3]string{object + ":l:" + flight, object + ":fence", object + ":w:" + flight}
}

// Acquire takes the lease for a fill. flight distinguishes fills of one object that fetch different
// responses. Acquire returns the lease, or a Wait for the end of another instance's lease. If it
// returns an error, the state of the lease is unknown, and the caller fills without coordination.
func (l *Leases) Acquire(ctx context.Context, k cachepolicy.Key, flight string) (*Lease, *Wait, error) {
	keys := l.c.leaseKeys(k, flight)
	topic := keys[0]
	// Register before asking: the holder learns of this instance only by the script, so its message
	// can't arrive too early.
	w := l.await(topic)
	var (
		token uint64
		left  int64
		held  bool
	)
	err := l.c.call(ctx, func(ctx context.Context) error {
		reply, err := acquireScript.Run(ctx, l.c.rdb, keys[:], l.c.instance, leaseFor.Milliseconds(), fenceFor.Milliseconds()).Slice()
		if err != nil {
			return err
		}
		token, left, err = parseAcquired(reply)
		if held = errors.Is(err, errHeld); held {
			return nil
		}
		return err // an unintelligible reply counts against Redis
	})
	switch {
	case err != nil:
		w.Leave()
		return nil, nil, fmt.Errorf("acquiring a lease: %w", err)
	case held:
		w.expires = time.Duration(left) * time.Millisecond
		return nil, w, nil
	}
	w.Leave()
	return l.hold(keys, topic, token), nil, nil
}

// Fence returns a token that is greater than those of all leases on the object so far.
func (l *Leases) Fence(ctx context.Context, k cachepolicy.Key) (token uint64, err error) {
	err = l.c.call(ctx, func(ctx context.Context) error {
		text, err := fenceScript.Run(ctx, l.c.rdb, []string{l.c.leaseKeys(k, "")[1]}, fenceFor.Milliseconds()).Text()
		if err == nil {
			token, err = strconv.ParseUint(text, 10, 64)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("reading a fencing token: %w", err)
	}
	return token, nil
}

// parseAcquired decodes the reply of acquireScript.
func parseAcquired(reply []any) (token uint64, left int64, err error) {
	if len(reply) != 2 {
		return 0, 0, fmt.Errorf("unexpected reply of %d values", len(reply))
	}
	got, isNumber := reply[0].(int64)
	left, isTime := reply[1].(int64)
	text, isToken := reply[1].(string)
	switch {
	case isNumber && got == 0 && isTime && left >= 0:
		return 0, left, errHeld
	case !isNumber || got != 1 || !isToken:
		return 0, 0, errors.New("unexpected reply about a lease")
	}
	if token, err = strconv.ParseUint(text, 10, 64); err != nil {
		return 0, 0, fmt.Errorf("the token %q is not a number", text)
	}
	return token, 0, nil
}

// hold keeps a lease alive until it is released or its client is closed.
func (l *Leases) hold(keys [3]string, topic string, token uint64) *Lease {
	ctx, cancel := context.WithCancel(l.c.stop)
	lease := &Lease{c: l.c, keys: keys, topic: topic, token: token, cancel: cancel, ended: make(chan struct{})}
	go lease.keep(ctx)
	return lease
}

// keep renews the lease three times in its duration. It does not retake a lost lease: the token
// tells the store which fill is newer.
func (l *Lease) keep(ctx context.Context) {
	defer close(l.ended)
	tick := time.NewTicker(leaseFor / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = l.c.call(ctx, func(ctx context.Context) error { // the next tick tries again
				return extendScript.Run(ctx, l.c.rdb, l.keys[:1], l.text(), leaseFor.Milliseconds()).Err()
			})
		}
	}
}

// Token returns the fencing token. An entry that was stored under a greater token is newer.
func (l *Lease) Token() uint64 { return l.token }

func (l *Lease) text() string { return strconv.FormatUint(l.token, 10) }

// Release ends the lease and tells the waiting instances its result.
func (l *Lease) Release(ctx context.Context, r store.LeaseResult) error {
	l.cancel()
	<-l.ended
	err := l.c.call(ctx, func(ctx context.Context) error {
		keys := []string{l.keys[0], l.keys[2]}
		return releaseScript.Run(ctx, l.c.rdb, keys, l.text(), l.c.wakeChannel(""), message(l.topic, r)).Err()
	})
	if err != nil {
		return fmt.Errorf("releasing a lease: %w", err)
	}
	return nil
}

// wakeChannel returns the channel on which an instance receives the ends of leases.
func (c *Client) wakeChannel(instance string) string { return c.fleetKey("wake:") + instance }

// message encodes the end of the lease of a topic.
func message(topic string, r store.LeaseResult) string { return strconv.Itoa(int(r)) + " " + topic }

// parseMessage is the inverse of message.
func parseMessage(s string) (topic string, r store.LeaseResult, ok bool) {
	number, topic, ok := strings.Cut(s, " ")
	n, err := strconv.ParseUint(number, 10, 8)
	if !ok || err != nil || store.LeaseResult(n) > store.Failed {
		return "", store.Vanished, false
	}
	return topic, store.LeaseResult(n), true
}
