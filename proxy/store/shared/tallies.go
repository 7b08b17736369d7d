package shared

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// tallyTime limits a call. No response waits for it.
const tallyTime = time.Second

// addScript adds to counters, once for each batch. KEYS: hash. ARGV: field of the writer, serial,
// field of the start time, start time, then pairs of field and number. It returns the whole hash.
// The key has no expiry, so that it is not evicted.
var addScript = redis.NewScript(`
local last = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if #ARGV > 4 and tonumber(ARGV[2]) > last then
	for i = 5, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
	redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
	local began = redis.call('HGET', KEYS[1], ARGV[3])
	if not began or tonumber(began) > tonumber(ARGV[4]) then redis.call('HSET', KEYS[1], ARGV[3], ARGV[4]) end
end
return redis.call('HGETALL', KEYS[1])`)

// claimScript claims a task unless it is done or claimed by another writer. KEYS: hash. ARGV: field
// of the result, field of the claim, writer, duration of the claim in ms.
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

// Tallies are named sets of counters that all instances add to. Each is a hash in Redis. This
// package does not know the meaning of the counters.
type Tallies struct{ c *Client }

// NewTallies returns the tallies in c's Redis.
func NewTallies(c *Client) *Tallies { return &Tallies{c} }

// Fields of a tally in addition to its counters.
const (
	tallyBegan  = "began"
	tallyWriter = "writer:"
	tallyDone   = "done:"
	tallyClaim  = "claim:"
)

// Tally is the content of one set of counters.
type Tally struct {
	Began    time.Time // earliest start time of all writers; zero if no instance has added yet
	Counters map[string]uint64
	Done     map[string]string // finished tasks and their results
}

func (t *Tallies) key(name string) string { return t.c.fleetKey("tally:" + name) }

// Add adds to the counters of a tally, unless the writer has already added a batch with this serial
// or a later one. It returns the resulting tally. If there is nothing to add, Add only reads.
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

// Claim reports whether writer may do a task: no instance has finished it, and no other holds a
// claim on it. A claim lasts for the given time.
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

// Conclude records the result of a finished task.
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

// readTally reads pairs of field and value. It ignores a counter that is not a number, since Add
// did not write it.
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
