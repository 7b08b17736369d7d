package shared

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/proxy/write"
)

// queueTime limits one call for the queue of writes. A write that is not stored is not accepted, so
// it may take longer than a lookup.
const queueTime = time.Second

// Writes is the queue of writes that the instances share. It implements write.Store.
//
// Each part of the lanes is a stream with a consumer group. An instance that works on a part holds
// the part's lease. There is one lease at a time, and each has its own token. Every script that
// reads the stream or records the result of a write first compares the token. If a holder dies, the
// next one claims the writes that it has read and not settled, in the order of the stream and
// before unread writes. All keys are in one slot, so that limits and Idempotency-Keys apply to the
// whole queue.
type Writes struct {
	c       *Client
	bounds  write.Bounds
	scripts struct{ add, beat, read, put, replay, drop, sweep, lose, aside, audit, settings *redis.Script }

	mu       sync.Mutex
	parts    map[int]*part // parts held by this instance
	server   string        // the server that answered the last renewal of the leases
	renewals uint64        // of the leases; a part of their tokens, so that no token is given twice even if Redis goes back

	held *ownNames

	durable   durability
	acked     *acked
	auditFrom int          // used by Hold alone
	lost      atomic.Int64 // lost writes that this instance was the first to record
}

var _ write.Store = (*Writes)(nil)

// NewWrites returns the queue in c's Redis. The caller must close it before c.
func NewWrites(c *Client, b write.Bounds) *Writes {
	w := &Writes{c: c, bounds: b, parts: make(map[int]*part), held: newOwnNames(), acked: newAcked()}
	w.scripts.add, w.scripts.beat, w.scripts.read = redis.NewScript(luaWriteAdd), redis.NewScript(luaWriteBeat), redis.NewScript(luaWriteRead)
	w.scripts.put, w.scripts.replay = redis.NewScript(luaWriteEnd+luaWritePut), redis.NewScript(luaWriteReplay)
	w.scripts.lose, w.scripts.audit, w.scripts.settings = redis.NewScript(luaWriteEnd+luaWriteLose), redis.NewScript(luaWriteAudit), redis.NewScript(luaWriteSettings)
	w.scripts.aside = redis.NewScript(luaWriteEnd + luaWriteAside)
	w.scripts.drop, w.scripts.sweep = redis.NewScript(luaWriteEnd+luaWriteDrop), redis.NewScript(luaWriteEnd+luaWriteSweep)
	return w
}

// Close does nothing: Hold has ended, and the client owns the connections.
func (w *Writes) Close() error { return nil }

// base returns the prefix of all keys of the queue. The braces put the keys into one slot.
func (w *Writes) base() string { return w.c.prefix + ":{writes}:" }

// run runs a script whose keys follow from the base. It names two keys, and the first one never
// exists. So while the queue's slot moves to another node of a Cluster, both nodes answer TRYAGAIN:
// a script on either node would not see the keys on the other.
func (w *Writes) run(ctx context.Context, s *redis.Script, bound time.Duration, args ...any) (reply any, err error) {
	err = w.c.callFor(ctx, max(bound, 4*w.c.timeout), func(ctx context.Context) (err error) {
		reply, err = s.Run(ctx, w.c.rdb, []string{w.base(), w.base() + "n"}, args...).Result()
		return err
	})
	return reply, err
}

// Add stores a write and returns its ID.
func (w *Writes) Add(ctx context.Context, x *write.Write) (string, error) {
	if err := w.refusal(ctx); err != nil {
		return "", fmt.Errorf("queueing a write: %w", err)
	}
	encoded, err := x.Encode()
	if err != nil {
		return "", err
	}
	outline, err := x.Outline().Encode()
	if err != nil {
		return "", err
	}
	state, err := json.Marshal(write.State{Phase: write.Queued, Updated: x.Accepted})
	if err != nil {
		return "", err
	}
	key := ""
	if !x.Key.IsZero() {
		key = hex.EncodeToString(x.Key[:])
	}
	bound := queueTime + time.Duration(len(encoded))*time.Second/bytesPerSecond
	reply, err := w.run(ctx, w.scripts.add, bound,
		x.ID, key, hex.EncodeToString(x.Print[:]), x.Size(), w.bounds.Max, w.bounds.Bytes, encoded, outline, state,
		write.PartitionOf(x.Lane()), x.Lane(), x.Seen, x.Accepted.UnixMilli())
	if err != nil {
		return "", fmt.Errorf("queueing a write: %w", err)
	}
	switch id, _ := reply.(string); id {
	case "full":
		return "", write.ErrFull
	case "conflict":
		return "", write.ErrConflict
	default:
		if !write.IsID(id) {
			return "", fmt.Errorf("queueing a write: unexpected reply %.50q", id)
		}
		if id == x.ID {
			w.acked.add(x, w.c.now())
		}
		w.held.add(x.Seen, id)
		w.nudge(write.PartitionOf(x.Lane()))
		return id, nil
	}
}

// fields reads the encoded form and the state of a write. If only the outline is left, encoded is
// the outline.
func (w *Writes) fields(ctx context.Context, id string) (encoded, state string, err error) {
	err = w.c.callFor(ctx, max(queueTime, 4*w.c.timeout), func(ctx context.Context) error {
		values, err := w.c.rdb.HMGet(ctx, w.base()+"w:"+id, "data", "outline", "state").Result()
		if err != nil {
			return err
		}
		data, whole := values[0].(string)
		short, _ := values[1].(string)
		state, _ = values[2].(string)
		if encoded = data; !whole {
			encoded = short
		}
		return nil
	})
	return encoded, state, err
}

// Find returns a write and its state.
func (w *Writes) Find(ctx context.Context, id string) (*write.Record, error) {
	encoded, state, err := w.fields(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading write %s: %w", id, err)
	}
	// This instance has acknowledged the write.
	if (encoded == "" || state == "") && w.acked.lookUp(id) != nil {
		w.recordLost(ctx, []string{id})
		if encoded, state, err = w.fields(ctx, id); err != nil {
			return nil, fmt.Errorf("reading write %s: %w", id, err)
		}
	}
	if encoded == "" || state == "" {
		return nil, write.ErrUnknown
	}
	x, err := write.Decode([]byte(encoded))
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", id, err)
	}
	r := &write.Record{Write: x}
	if err := json.Unmarshal([]byte(state), &r.State); err != nil {
		return nil, fmt.Errorf("the state of write %s: %w: %w", id, write.ErrDamaged, err)
	}
	return r, nil
}

// Held returns the names for which this instance has queued writes. Only Newest finds the writes of
// other instances.
func (w *Writes) Held() *write.Held { return w.held.Held }

// Newest returns the last write that is queued for the read name seen.
func (w *Writes) Newest(ctx context.Context, seen string) (*write.Write, error) {
	own := w.held.last(seen)
	bound := w.c.timeout
	if own != "" {
		// This instance has acknowledged a write to it, and without an answer the read would show
		// the old value.
		bound = max(queueTime, 4*bound)
	}
	newest, err := w.newest(ctx, seen, bound)
	if errors.Is(err, write.ErrUnknown) {
		w.held.applied(seen, own)
	}
	return newest, err
}

func (w *Writes) newest(ctx context.Context, seen string, bound time.Duration) (*write.Write, error) {
	var ids []string
	err := w.c.callFor(ctx, bound, func(ctx context.Context) (err error) {
		ids, err = w.c.rdb.ZRevRange(ctx, w.base()+"u:"+seen, 0, 0).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, write.ErrUnknown
	}
	r, err := w.Find(ctx, ids[0])
	if err != nil {
		return nil, err
	}
	if r.Ended() {
		return nil, write.ErrUnknown // it has ended meanwhile
	}
	return r.Write, nil
}

// Letters returns the dead letters.
func (w *Writes) Letters(ctx context.Context, most int) (letters []*write.Record, err error) {
	var ids []string
	err = w.c.callFor(ctx, max(queueTime, 4*w.c.timeout), func(ctx context.Context) (err error) {
		ids, err = w.c.rdb.ZRange(ctx, w.base()+"dead", 0, int64(most-1)).Result()
		return err
	})
	for _, id := range ids {
		r, err := w.Find(ctx, id)
		if errors.Is(err, write.ErrUnknown) {
			continue // dropped meanwhile
		}
		if errors.Is(err, write.ErrDamaged) {
			w.setLetterAside(ctx, id, err) // so that it does not hide the others
			continue
		}
		if err != nil {
			return nil, err
		}
		letters = append(letters, r)
	}
	return letters, err
}

// Replay puts a dead letter at the end of its lane.
func (w *Writes) Replay(ctx context.Context, id string) error {
	now := w.c.now()
	state, err := json.Marshal(write.State{Phase: write.Queued, Updated: now})
	if err != nil {
		return err
	}
	if err := w.letter(ctx, w.scripts.replay, id, w.bounds.Max, w.bounds.Bytes, state, now.UnixMilli()); err != nil {
		return err
	}
	if r, err := w.Find(ctx, id); err == nil {
		w.held.add(r.Seen, id)
		w.acked.add(r.Write, now)
	}
	return nil
}

// Drop removes a dead letter.
func (w *Writes) Drop(ctx context.Context, id string) error {
	r, err := w.Find(ctx, id)
	if err != nil {
		return err
	}
	state, err := json.Marshal(r.State.Drop(w.c.now()))
	if err != nil {
		return err
	}
	return w.letter(ctx, w.scripts.drop, id, w.keep().Milliseconds(), state)
}

func (w *Writes) letter(ctx context.Context, s *redis.Script, args ...any) error {
	reply, err := w.run(ctx, s, queueTime, args...)
	if err != nil {
		return err
	}
	switch said, _ := reply.(string); said {
	case "done":
		return nil
	case "full":
		return write.ErrFull
	}
	return write.ErrUnknown
}

// Stats returns the figures of the queue.
func (w *Writes) Stats(ctx context.Context) (stats write.Stats, err error) {
	err = w.c.callFor(ctx, max(queueTime, 4*w.c.timeout), func(ctx context.Context) error {
		pipe := w.c.rdb.Pipeline()
		pending, dead := pipe.ZCard(ctx, w.base()+"open"), pipe.ZCard(ctx, w.base()+"dead")
		bytes, oldest := pipe.HGet(ctx, w.base()+"n", "bytes"), pipe.ZRangeWithScores(ctx, w.base()+"open", 0, 0)
		if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		stats.Pending, stats.Dead = int(pending.Val()), int(dead.Val())
		stats.Bytes, _ = strconv.ParseInt(bytes.Val(), 10, 64)
		stats.Bytes = max(0, stats.Bytes) // Redis may have lost the counter
		if first := oldest.Val(); len(first) > 0 {
			stats.Oldest = max(0, w.c.now().Sub(time.UnixMilli(int64(first[0].Score))))
		}
		return nil
	})
	stats.Lost = w.lost.Load()
	return stats, err
}
