package shared

import (
	"context"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

// readSegments reads the bodies of a variant that has them in keys of their own. One that is missing, because Redis needed the room, is damage.
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
			return nil, fmt.Errorf("%w: the checksum of segment %d does not fit", store.ErrDamaged, i)
		}
		pieces[i] = piece
	}
	return pieces, nil
}

// writeSegments writes them for a short time, until the variant that refers to them is stored.
func (c *Client) writeSegments(ctx context.Context, k cachepolicy.Key, nonce uint32, segments [][]byte) error {
	if len(segments) == 0 {
		return nil
	}
	pipe := c.rdb.Pipeline()
	for i, s := range segments {
		pipe.Set(ctx, c.segmentKey(k, nonce, i), s, segmentGrace)
	}
	_, err := pipe.Exec(ctx) // the first error: one is as bad as several
	return err
}

// removeSegments removes those of a variant that was not stored. If it fails they go by themselves soon.
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
