package shared

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// tallyTime is for a call that nobody's response waits for.
const tallyTime = time.Second

// addScript adds to counters, once for each batch. KEYS: hash. ARGV: field of the writer, serial, field of the beginning, beginning, then pairs
// of field and number. It returns all that the hash holds. The key has no expiry, so that it is not evicted.
var addScript = redis.NewScript(`
local last = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if #ARGV > 4 and tonumber(ARGV[2]) > last then
	for i = 5, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
	redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
	local began = redis.call('HGET', KEYS[1], ARGV[3])
	if not began or tonumber(began) > tonumber(ARGV[4]) then redis.call('HSET', KEYS[1], ARGV[3], ARGV[4]) end
end
return redis.call('HGETALL', KEYS[1])`)

// claimScript takes what nobody has done and nobody does. KEYS: hash. ARGV: field of what is done, field of the claim, writer, time in ms that it holds.
var claimScript = redis.NewScript(`
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local held = redis.call('HGET', KEYS[1], ARGV[2])
if held then
	local till, by = string.match(held, '^(%d+) (.*)$')
	if by ~= ARGV[3] and tonumber(till) > now then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[2], string.format('%.0f', now + ARGV[4]) .. ' ' .. ARGV[3])
return 1`)

// Tallies are sets of counters that all instances add to, each a hash with a name. They know nothing of what is counted.
type Tallies struct{ c *Client }

// NewTallies returns those of c.
func NewTallies(c *Client) *Tallies { return &Tallies{c} }

// The fields of a tally beside its counters.
const (
	tallyBegan  = "began"
	tallyWriter = "writer:"
	tallyDone   = "done:"
	tallyClaim  = "claim:"
)

// Tally is what is held under a name.
type Tally struct {
	Began    time.Time // the earliest beginning of those who added; zero: nobody has
	Counters map[string]uint64
	Done     map[string]string // what was settled, and the word for it
}

func (t *Tallies) key(name string) string { return t.c.fleetKey("tally:" + name) }

// Add adds to the counters of a tally, unless the writer has added a batch of this serial, or a later one, before. It returns all that the tally
// holds then. Nothing to add is a question.
func (t *Tallies) Add(ctx context.Context, name, writer string, serial uint64, began time.Time, counters map[string]uint64) (*Tally, error) {
	args := []any{tallyWriter + writer, serial, tallyBegan, began.UnixMilli()}
	for field, n := range counters {
		if n > 0 {
			args = append(args, field, n)
		}
	}
	var flat []string
	err := t.c.callFor(ctx, tallyTime, func(ctx context.Context) (err error) {
		flat, err = addScript.Run(ctx, t.c.rdb, []string{t.key(name)}, args...).StringSlice()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("adding to the tally %s: %w", name, err)
	}
	return readTally(flat), nil
}

// Claim reports whether writer is to do what is named: nobody has, and nobody else has claimed it lately. A claim holds for so long.
func (t *Tallies) Claim(ctx context.Context, name, what, writer string, holds time.Duration) (ours bool, err error) {
	err = t.c.callFor(ctx, tallyTime, func(ctx context.Context) error {
		ours, err = claimScript.Run(ctx, t.c.rdb, []string{t.key(name)}, tallyDone+what, tallyClaim+what, writer, holds.Milliseconds()).Bool()
		return err
	})
	if err != nil {
		return false, fmt.Errorf("claiming %s of the tally %s: %w", what, name, err)
	}
	return ours, nil
}

// Conclude notes that what is named was done.
func (t *Tallies) Conclude(ctx context.Context, name, what, word string) error {
	err := t.c.callFor(ctx, tallyTime, func(ctx context.Context) error {
		_, err := t.c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.HSet(ctx, t.key(name), tallyDone+what, word)
			p.HDel(ctx, t.key(name), tallyClaim+what)
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("settling %s of the tally %s: %w", what, name, err)
	}
	return nil
}

// Forget removes a tally.
func (t *Tallies) Forget(ctx context.Context, name string) error {
	return t.c.callFor(ctx, tallyTime, func(ctx context.Context) error { return t.c.rdb.Unlink(ctx, t.key(name)).Err() })
}

// readTally reads pairs of field and value. What is no number counts for nothing: it was not written by Add.
func readTally(flat []string) *Tally {
	out := &Tally{Counters: make(map[string]uint64), Done: make(map[string]string)}
	for i := 0; i+1 < len(flat); i += 2 {
		field, value := flat[i], flat[i+1]
		what, done := strings.CutPrefix(field, tallyDone)
		switch {
		case done:
			out.Done[what] = value
		case strings.HasPrefix(field, tallyWriter), strings.HasPrefix(field, tallyClaim):
		case field == tallyBegan:
			if ms, err := strconv.ParseInt(value, 10, 64); err == nil {
				out.Began = time.UnixMilli(ms)
			}
		default:
			if n, err := strconv.ParseUint(value, 10, 64); err == nil {
				out.Counters[field] = n
			}
		}
	}
	return out
}
