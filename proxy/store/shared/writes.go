package shared

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/proxy/write"
)

// queueTime is how long one call for the queue of writes may take: a write that is not stored is not accepted, so it is worth more than a lookup.
const queueTime = time.Second

// Writes is the queue of writes that the instances have in common. It is a write.Store.
//
// Each part of the lanes is a stream with a consumer group. Who works on a part holds its lease, of which there is one at a time with a token of its
// own; whatever reads the stream or notes what became of a write does so in a script that first compares the token. What a holder has read and not
// settled when it dies is claimed by the next, in the order of the stream and before anything that was never read. All keys are in one slot, so that
// bounds and Idempotency-Keys hold for the queue as a whole.
type Writes struct {
	c       *Client
	bounds  write.Bounds
	scripts struct{ add, beat, read, put, replay, drop, sweep *redis.Script }

	mu    sync.Mutex
	parts map[int]*part // held
}

var _ write.Store = (*Writes)(nil)

// NewWrites is the queue in c's Redis. It must be closed before c.
func NewWrites(c *Client, b write.Bounds) *Writes {
	w := &Writes{c: c, bounds: b, parts: make(map[int]*part)}
	w.scripts.add, w.scripts.beat, w.scripts.read = redis.NewScript(luaWriteAdd), redis.NewScript(luaWriteBeat), redis.NewScript(luaWriteRead)
	w.scripts.put, w.scripts.replay = redis.NewScript(luaWriteEnd+luaWritePut), redis.NewScript(luaWriteReplay)
	w.scripts.drop, w.scripts.sweep = redis.NewScript(luaWriteEnd+luaWriteDrop), redis.NewScript(luaWriteEnd+luaWriteSweep)
	return w
}

// Close does nothing: Hold has ended, and the connections are the client's.
func (w *Writes) Close() error { return nil }

// base is what the names of all keys of the queue begin with. The braces put them into one slot.
func (w *Writes) base() string { return w.c.prefix + ":{writes}:" }

// run runs a script whose keys follow from the base.
func (w *Writes) run(ctx context.Context, s *redis.Script, bound time.Duration, args ...any) (reply any, err error) {
	err = w.c.callFor(ctx, max(bound, 4*w.c.timeout), func(ctx context.Context) (err error) {
		reply, err = s.Run(ctx, w.c.rdb, []string{w.base()}, args...).Result()
		return err
	})
	return reply, err
}

// Add stores a write.
func (w *Writes) Add(ctx context.Context, x *write.Write) (string, error) {
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
			return "", fmt.Errorf("queueing a write: Redis says %.50q", id)
		}
		w.nudge(write.PartitionOf(x.Lane()))
		return id, nil
	}
}

// fields reads those of a write.
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

// Find gives a write and its state.
func (w *Writes) Find(ctx context.Context, id string) (*write.Record, error) {
	encoded, state, err := w.fields(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading write %s: %w", id, err)
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
		return nil, fmt.Errorf("the state of write %s: %w", id, err)
	}
	return r, nil
}

// Newest is the last write that is queued for what reads call seen.
func (w *Writes) Newest(ctx context.Context, seen string) (*write.Write, error) {
	var ids []string
	err := w.c.call(ctx, func(ctx context.Context) (err error) {
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
		return nil, write.ErrUnknown // meanwhile
	}
	return r.Write, nil
}

// Letters are the dead letters.
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
	return w.letter(ctx, w.scripts.replay, id, w.bounds.Max, w.bounds.Bytes, state, now.UnixMilli())
}

// Drop removes a dead letter.
func (w *Writes) Drop(ctx context.Context, id string) error {
	return w.letter(ctx, w.scripts.drop, id, w.bounds.Keep.Milliseconds())
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

// Stats are the figures of the queue.
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
		if first := oldest.Val(); len(first) > 0 {
			stats.Oldest = max(0, w.c.now().Sub(time.UnixMilli(int64(first[0].Score))))
		}
		return nil
	})
	return stats, err
}
