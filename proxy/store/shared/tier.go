package shared

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

const (
	// segmentGrace is the expiry of segments until a variant refers to them.
	segmentGrace = time.Minute
	// bytesPerSecond is the minimum throughput assumed for storing large values. No client waits
	// for a Put.
	bytesPerSecond = 64 << 20
)

// Get returns the object under k with the variant that answers q and no other, or with all variants
// if q is nil. Usually it takes one round trip. A second one is made for bodies in segments, and if
// the object varies on fields that this process has not seen lately. If a value is damaged, Get
// removes it and returns ErrMiss.
func (c *Client) Get(ctx context.Context, k cachepolicy.Key, q *cachepolicy.Request) (*store.Object, error) {
	var o *store.Object
	err := c.call(ctx, func(ctx context.Context) (err error) {
		o, err = c.lookup(ctx, k, q)
		if errors.Is(err, store.ErrDamaged) || redis.HasErrorPrefix(err, "WRONGTYPE") {
			c.log.Debug("removing a damaged value from Redis", "key", c.objectKey(k), "error", err)
			return cmp.Or(c.remove(ctx, k, ""), store.ErrMiss)
		}
		return err
	})
	if errors.Is(err, store.ErrOtherKey) {
		return nil, store.ErrMiss
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}

func (c *Client) lookup(ctx context.Context, k cachepolicy.Key, q *cachepolicy.Request) (*store.Object, error) {
	held, list, err := c.read(ctx, k, q)
	if err != nil {
		return nil, err
	}
	if q != nil {
		i := cachepolicy.Select(q, list)
		if i < 0 {
			return nil, store.ErrMiss
		}
		list = list[i : i+1]
	}
	o := &store.Object{Key: k, Variants: make([]*store.Entry, 0, len(list))}
	for _, r := range list {
		c.hints.learn(r.meta.Vary)
		e, err := c.variant(ctx, k, r, held)
		if err != nil {
			return nil, err
		}
		o.Variants = append(o.Variants, e)
	}
	return o, nil
}

// fields holds the fields that were read of an object: their names, and the value of each, or nil
// if the field does not exist.
type fields struct {
	names  []string
	values []any
}

// value returns the value of a field. asked is false if the field was not read; ok is false if it
// does not exist.
func (f fields) value(name string) (value string, ok, asked bool) {
	for i, n := range f.names {
		if n == name {
			value, ok = f.values[i].(string)
			return value, ok, true
		}
	}
	return "", false, false
}

// read reads the index, and with it the variants that q may select, or all variants if q is nil.
func (c *Client) read(ctx context.Context, k cachepolicy.Key, q *cachepolicy.Request) (fields, []*record, error) {
	held, err := c.readFields(ctx, c.objectKey(k), q)
	if err != nil {
		return fields{}, nil, err
	}
	index, ok, _ := held.value(indexField)
	if !ok {
		for _, v := range held.values {
			if v != nil {
				return fields{}, nil, fmt.Errorf("%w: variants without an index", store.ErrDamaged)
			}
		}
		return fields{}, nil, store.ErrMiss
	}
	list, err := parseIndex(k, index)
	return held, list, err
}

func (c *Client) readFields(ctx context.Context, key string, q *cachepolicy.Request) (held fields, err error) {
	if q == nil {
		all, err := c.rdb.HGetAll(ctx, key).Result()
		for name, value := range all {
			held.names = append(held.names, name)
			held.values = append(held.values, value)
		}
		return held, err
	}
	held.names = append(make([]string, 0, 2), indexField)
	for vary := range c.hints.guesses(q) {
		id := idOf(vary)
		held.names = append(held.names, variantField+string(id[:]))
	}
	if c.gather != nil {
		held.values, err = c.gather.get(ctx, key, held.names)
	} else {
		held.values, err = c.rdb.HMGet(ctx, key, held.names...).Result()
	}
	if err == nil && len(held.values) != len(held.names) {
		err = fmt.Errorf("shared: %s: %d values of %d fields", c.server, len(held.values), len(held.names))
	}
	return held, err
}

// variant returns the entry of record r, from the fields that were read or else from Redis.
func (c *Client) variant(ctx context.Context, k cachepolicy.Key, r *record, held fields) (*store.Entry, error) {
	value, ok, asked := held.value(r.field())
	switch {
	case ok:
	case asked: // it was read in the same step as the index
		return nil, fmt.Errorf("%w: a variant of the index is missing", store.ErrDamaged)
	default:
		var err error
		if value, err = c.rdb.HGet(ctx, c.objectKey(k), r.field()).Result(); errors.Is(err, redis.Nil) {
			return nil, store.ErrMiss // removed since the index was read
		} else if err != nil {
			return nil, err
		}
	}
	e, p, err := unpack(k, value)
	if err != nil {
		return nil, err
	}
	if e.Vary != r.meta.Vary {
		return nil, fmt.Errorf("%w: value of another variant", store.ErrDamaged)
	}
	if p == nil {
		return e, nil
	}
	pieces, err := c.readSegments(ctx, k, r, p.segments)
	if err != nil {
		return nil, err
	}
	return e, p.fill(pieces)
}

// Put adds e to the object under k. It replaces the variant with the same Vary, unless that was
// stored under a newer fence, or else a variant that is past all its windows. If the object then
// has more than maxVariants variants (0 means no limit), the oldest one is removed.
func (c *Client) Put(ctx context.Context, k cachepolicy.Key, e *store.Entry, maxVariants int) error {
	return c.put(ctx, k, e, maxVariants, "")
}

// Replace stores e in place of old if old is still stored, and reports whether it did. Both must
// have the same Vary.
func (c *Client) Replace(ctx context.Context, k cachepolicy.Key, old, e *store.Entry) (bool, error) {
	if old.Vary != e.Vary {
		return false, errors.New("shared: a variant can't be replaced by one with another Vary")
	}
	stamp := binary.BigEndian.AppendUint64(nil, store.Stamp(old))
	err := c.put(ctx, k, e, 0, string(stamp))
	if errors.Is(err, errGone) {
		return false, nil
	}
	return err == nil, err
}

// errGone means that the entry to replace is not stored any more.
var errGone = errors.New("shared: the entry to replace has changed")

func (c *Client) put(ctx context.Context, k cachepolicy.Key, e *store.Entry, maxVariants int, old string) error {
	for i := range e.Representations {
		if n := e.Representations[i].Body.Size; n > c.maxObject {
			return fmt.Errorf("%w: body of %d bytes, the limit for Redis is %d", store.ErrTooLarge, n, c.maxObject)
		}
	}
	if c.breaker.skips() {
		return ErrOpen // before the work of encoding
	}
	v, err := pack(k, e, c.compress)
	if err != nil {
		return err
	}
	tag, nonce := tagOf(k), rand.Uint32()
	rec, err := appendRecord(nil, tag, e, nonce, len(v.segments))
	if err != nil {
		return err
	}
	c.hints.learn(e.Vary)
	bound := c.timeout + time.Duration(v.size())*time.Second/bytesPerSecond
	return c.callFor(ctx, bound, func(ctx context.Context) error {
		if err := c.writeSegments(ctx, k, nonce, v.segments); err != nil {
			return err
		}
		now := c.now().UnixMilli()
		result, err := c.scripts.put.Run(ctx, c.rdb, []string{c.objectKey(k)}, tag[:], now, maxVariants, rec, v.data, old).Int()
		if err == nil && result == putDone {
			return nil
		}
		c.removeSegments(ctx, k, nonce, len(v.segments))
		return cmp.Or(err, putResult(result))
	})
}

// putResult returns the error for a result of luaPut.
func putResult(n int) error {
	switch n {
	case putFenced:
		return store.ErrFenced
	case putGone:
		return errGone
	case putLost:
		return fmt.Errorf("%w: Redis has evicted a segment before the object was complete; give Redis more memory", store.ErrTooLarge)
	}
	return fmt.Errorf("shared: unknown result %d of the script that stores", n)
}

// Delete removes the object under k.
func (c *Client) Delete(ctx context.Context, k cachepolicy.Key) error {
	tag := tagOf(k)
	return c.call(ctx, func(ctx context.Context) error { return c.remove(ctx, k, string(tag[:])) })
}

// remove removes the object under k if it has the tag, or any object if tag is empty.
func (c *Client) remove(ctx context.Context, k cachepolicy.Key, tag string) error {
	return c.scripts.remove.Run(ctx, c.rdb, []string{c.objectKey(k)}, tag).Err()
}

// segmentKey returns the key of a segment; the scripts build the same name. The nonce differs for
// each Put, so that segments of two Puts are never mixed.
func (c *Client) segmentKey(k cachepolicy.Key, nonce uint32, n int) string {
	return fmt.Sprintf("%s:%08x:%s", c.objectKey(k), nonce, strconv.Itoa(n))
}

// readSegments reads the bodies of a variant that are stored in keys of their own. If a segment is
// missing, because Redis has evicted it, the error is ErrDamaged.
func (c *Client) readSegments(ctx context.Context, k cachepolicy.Key, r *record, want []segment) ([]string, error) {
	if r.segments != len(want) {
		return nil, fmt.Errorf("%w: %d segments in the index, %d in the value", store.ErrDamaged, r.segments, len(want))
	}
	pipe := c.rdb.Pipeline()
	got := make([]*redis.StringCmd, len(want))
	for i := range want {
		got[i] = pipe.Get(ctx, c.segmentKey(k, r.nonce, i))
	}
	if _, err := pipe.Exec(ctx); err != nil && !isAnswer(err) {
		return nil, err
	}
	pieces := make([]string, len(want))
	for i, cmd := range got {
		piece, err := cmd.Result()
		switch {
		case errors.Is(err, redis.Nil):
			return nil, fmt.Errorf("%w: segment %d of %d is missing", store.ErrDamaged, i, len(want))
		case err != nil:
			return nil, err
		case len(piece) != want[i].size || xxhash.Sum64String(piece) != want[i].sum:
			return nil, fmt.Errorf("%w: checksum mismatch in segment %d", store.ErrDamaged, i)
		}
		pieces[i] = piece
	}
	return pieces, nil
}

// writeSegments stores the segments with a short expiry. Storing the variant that refers to them
// extends it.
func (c *Client) writeSegments(ctx context.Context, k cachepolicy.Key, nonce uint32, segments [][]byte) error {
	if len(segments) == 0 {
		return nil
	}
	pipe := c.rdb.Pipeline()
	for i, s := range segments {
		pipe.Set(ctx, c.segmentKey(k, nonce, i), s, segmentGrace)
	}
	_, err := pipe.Exec(ctx) // the first error; one is as bad as several
	return err
}

// removeSegments removes the segments of a variant that was not stored. If that fails, they expire
// soon.
func (c *Client) removeSegments(ctx context.Context, k cachepolicy.Key, nonce uint32, n int) {
	if n == 0 {
		return
	}
	pipe := c.rdb.Pipeline()
	for i := range n {
		pipe.Unlink(ctx, c.segmentKey(k, nonce, i))
	}
	_, _ = pipe.Exec(ctx)
}
