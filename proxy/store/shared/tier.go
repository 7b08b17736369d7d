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

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

const (
	// segmentGrace is how long segments live that nothing refers to yet.
	segmentGrace = time.Minute
	// bytesPerSecond is what a connection must carry so that large values are stored in time. Nobody waits for a Put.
	bytesPerSecond = 64 << 20
)

// Get returns the object under k with the variant that is to answer q, and no other; with all its variants when q is nil. As a rule that
// costs one round trip: a second one is made when nothing seen so far has varied on the same fields, and for bodies in segments. What is damaged is
// removed, and is a miss.
func (c *Client) Get(ctx context.Context, k cachepolicy.Key, q *cachepolicy.Request) (*store.Object, error) {
	var o *store.Object
	err := c.call(ctx, func(ctx context.Context) (err error) {
		o, err = c.lookup(ctx, k, q)
		if errors.Is(err, store.ErrDamaged) || redis.HasErrorPrefix(err, "WRONGTYPE") {
			c.log.Debug("a damaged value is removed from Redis", "key", c.objectKey(k), "error", err)
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

// fields is what has been read of an object: names of fields, and their values beside them, nil for one that is not there.
type fields struct {
	names  []string
	values []any
}

// value is that of a field: "" and false when it is not there or was not asked for, which asked tells apart.
func (f fields) value(name string) (value string, ok, asked bool) {
	for i, n := range f.names {
		if n == name {
			value, ok = f.values[i].(string)
			return value, ok, true
		}
	}
	return "", false, false
}

// read reads the index, and with it the variants that q may select, or all.
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

// variant is the entry of which the index has r, from what has been read or else from Redis.
func (c *Client) variant(ctx context.Context, k cachepolicy.Key, r *record, held fields) (*store.Entry, error) {
	value, ok, asked := held.value(r.field())
	switch {
	case ok:
	case asked: // it was read in one step with the index
		return nil, fmt.Errorf("%w: the index has a variant that is not there", store.ErrDamaged)
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
		return nil, fmt.Errorf("%w: another variant's", store.ErrDamaged)
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

// Put adds e to the object under k: in the place of the variant with the same Vary, unless a newer fence has stored that; else of one that is past
// its windows; else beside the others, of which there may be maxVariants, or any number if that is 0.
func (c *Client) Put(ctx context.Context, k cachepolicy.Key, e *store.Entry, maxVariants int) error {
	return c.put(ctx, k, e, maxVariants, "")
}

// Replace puts e in the place of old if old is still stored, and reports whether it did. Both must have the same Vary.
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

// errGone says that what was to be replaced is not there any more.
var errGone = errors.New("shared: what was to be replaced has changed")

func (c *Client) put(ctx context.Context, k cachepolicy.Key, e *store.Entry, maxVariants int, old string) error {
	for i := range e.Representations {
		if n := e.Representations[i].Body.Size; n > c.maxObject {
			return fmt.Errorf("%w: %d bytes, Redis is given %d", store.ErrTooLarge, n, c.maxObject)
		}
	}
	if c.breaker.skips() {
		return ErrOpen // before the work that comes now
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

// putResult is what the script says.
func putResult(n int) error {
	switch n {
	case putFenced:
		return store.ErrFenced
	case putFull:
		return store.ErrVariants
	case putGone:
		return errGone
	case putLost:
		return fmt.Errorf("%w: Redis has let go of a part before it was whole; give it more memory", store.ErrTooLarge)
	}
	return fmt.Errorf("shared: the script that stores says %d, which is nothing known", n)
}

// Delete removes the object under k.
func (c *Client) Delete(ctx context.Context, k cachepolicy.Key) error {
	tag := tagOf(k)
	return c.call(ctx, func(ctx context.Context) error { return c.remove(ctx, k, string(tag[:])) })
}

// remove removes the object under k if it has the tag; with none, whatever is in its place.
func (c *Client) remove(ctx context.Context, k cachepolicy.Key, tag string) error {
	return c.scripts.remove.Run(ctx, c.rdb, []string{c.objectKey(k)}, tag).Err()
}

// segmentKey is the name of a segment's key, as the scripts make it too. It ends in a number that each Put has for itself, so that the segments of two
// are never taken for those of one.
func (c *Client) segmentKey(k cachepolicy.Key, nonce uint32, n int) string {
	return fmt.Sprintf("%s:%08x:%s", c.objectKey(k), nonce, strconv.Itoa(n))
}
