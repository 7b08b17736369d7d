package shared

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/redis/go-redis/v9"
)

// rateScript charges a client for a request if a limit accepts it. It does what package rate does,
// by the clock of Redis, which is the same for all instances. KEYS: the client's time. ARGV: the
// time between two requests, and the time in which a used up burst becomes available again, in
// microseconds. It returns 1 or 0, and the microseconds until the next request is accepted.
//
// Times count from the beginning of 2026 and have four binary digits behind the point. A double
// holds them exactly until 2043. A key expires when its client is idle.
var rateScript = redis.NewScript(`
local clock = redis.call('TIME')
local now = (clock[1] - 1767225600) * 1000000 + clock[2]
local every, whole = tonumber(ARGV[1]), tonumber(ARGV[2])
local stored = tonumber(redis.call('GET', KEYS[1]) or '') or now
local idle = math.min(math.max(stored, now), now + whole)
local accepted, next = 1, idle + every
if next > now + whole then accepted, next = 0, idle end
if next ~= stored then
	redis.call('SET', KEYS[1], string.format('%.4f', next), 'PX', string.format('%.0f', math.ceil((next - now) / 1000) + 1))
end
return {accepted, string.format('%.0f', math.max(0, math.ceil(next + every - now - whole)))}`)

// rateSteps is the number of steps in a microsecond that rateScript tells apart.
const rateSteps = 16

// TakeRate charges a client of the whole fleet for a request if a limit accepts it: one request
// each every on average, and burst requests at once. client is a hash, since Redis may be read by
// others. TakeRate returns the time until the next request is accepted. If it returns an error, the
// request may have been charged.
func (c *Client) TakeRate(ctx context.Context, client string, every time.Duration, burst int) (ok bool, wait time.Duration, err error) {
	gap := math.Ceil(float64(every)*rateSteps/float64(time.Microsecond)) / rateSteps
	key, args := c.prefix+":{"+client+"}:rate", []any{fmt.Sprintf("%.4f", gap), fmt.Sprintf("%.4f", gap*float64(burst))}
	err = c.call(ctx, func(ctx context.Context) error {
		reply, err := rateScript.Run(ctx, c.rdb, []string{key}, args...).Slice()
		if err != nil {
			return err
		}
		ok, wait, err = parseTaken(reply)
		return err
	})
	if err != nil {
		return false, 0, fmt.Errorf("charging a rate limit: %w", err)
	}
	return ok, wait, nil
}

// parseTaken decodes the reply of rateScript.
func parseTaken(reply []any) (ok bool, wait time.Duration, err error) {
	if len(reply) != 2 {
		return false, 0, errRateReply
	}
	accepted, isNumber := reply[0].(int64)
	text, isText := reply[1].(string)
	if !isNumber || !isText {
		return false, 0, errRateReply
	}
	if wait, err = time.ParseDuration(text + "us"); err != nil {
		return false, 0, errRateReply
	}
	return accepted == 1, wait, nil
}

var errRateReply = errors.New("shared: the reply about a rate limit is unintelligible")
