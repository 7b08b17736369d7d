package shared

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

const (
	hotFlush  = 10 * time.Second // interval at which uses are added to the fleet's list
	hotCounts = 1 << 12          // maximum number of keys counted between two flushes
	hotBatch  = 512              // keys in one call
	hotTime   = time.Second      // limit of a call; no response waits for it
)

// hotScript adds uses to the fleet's list and trims it. KEYS: list, turn. ARGV: length, half-life
// in ms, then pairs of uses and key. Once per half-life the first caller halves all counts, so that
// formerly hot objects leave the list.
var hotScript = redis.NewScript(`
for i = 3, #ARGV, 2 do redis.call('ZINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
if redis.call('SET', KEYS[2], 1, 'NX', 'PX', ARGV[2]) then
	redis.call('ZUNIONSTORE', KEYS[1], 1, KEYS[1], 'WEIGHTS', 0.5)
	redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', 0.5)
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[1])
redis.call('PEXPIRE', KEYS[1], 86400000)
return redis.call('ZCARD', KEYS[1])`)

// hotHalfLife is the time after which a use counts half.
const hotHalfLife = 5 * time.Minute

// Hot maintains the fleet's list of the most used objects. A starting instance loads these objects
// first. Hot may be used concurrently.
type Hot struct {
	c    *Client
	most int // maximum length of the list

	mu     sync.Mutex
	counts map[string]int // by the key's full encoding

	stop    chan struct{}
	running sync.WaitGroup
}

// NewHot returns a Hot whose list has at most the given number of keys. The caller must call Close
// before closing the client.
func NewHot(c *Client, most int) *Hot {
	h := &Hot{c: c, most: most, counts: make(map[string]int), stop: make(chan struct{})}
	h.running.Go(h.tell)
	return h
}

// Close flushes the remaining counts and ends the goroutine.
func (h *Hot) Close() error {
	close(h.stop)
	h.running.Wait()
	return nil
}

// Used counts uses of the object under k.
func (h *Hot) Used(k cachepolicy.Key, uses int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.counts[k.Full]; known || len(h.counts) < hotCounts {
		h.counts[k.Full] += uses
	}
}

func (h *Hot) tell() {
	tick := time.NewTicker(hotFlush)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.flush()
		case <-h.stop:
			h.flush()
			return
		}
	}
}

// flush adds this instance's counts to the list. If a call fails, its counts are dropped, because
// the list is only a hint.
func (h *Hot) flush() {
	h.mu.Lock()
	counts := h.counts
	h.counts = make(map[string]int)
	h.mu.Unlock()
	args := []any{h.most, hotHalfLife.Milliseconds()}
	for full, uses := range counts {
		args = append(args, uses, full)
		if len(args) >= 2+2*hotBatch {
			h.add(args)
			args = args[:2]
		}
	}
	if len(args) > 2 {
		h.add(args)
	}
}

func (h *Hot) add(args []any) {
	ctx, cancel := context.WithTimeout(context.Background(), hotTime)
	defer cancel()
	keys := []string{h.c.fleetKey("hot"), h.c.fleetKey("hot:turn")}
	// Failures are ignored; see flush.
	_ = h.c.callFor(ctx, hotTime, func(ctx context.Context) error { return hotScript.Run(ctx, h.c.rdb, keys, args...).Err() })
}

// Hottest returns the most used keys, in descending order of use.
func (h *Hot) Hottest(ctx context.Context) ([]cachepolicy.Key, error) {
	var list []string
	err := h.c.callFor(ctx, hotTime, func(ctx context.Context) (err error) {
		list, err = h.c.rdb.ZRevRange(ctx, h.c.fleetKey("hot"), 0, int64(h.most)-1).Result()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the most used keys: %w", err)
	}
	keys := make([]cachepolicy.Key, len(list))
	for i, full := range list {
		keys[i] = cachepolicy.KeyOf(full)
	}
	return keys, nil
}

// Load reads the most used objects and passes them to take, until all are read or ctx is done. It
// returns the number of objects.
func (h *Hot) Load(ctx context.Context, take func(*store.Object)) (int, error) {
	keys, err := h.Hottest(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, k := range keys {
		o, err := h.c.Get(ctx, k, nil)
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		if err == nil {
			take(o)
			n++
		}
	}
	return n, nil
}
