package write

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSettle(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	p := Policy{Retries: 2, Backoff: time.Second, MaxBackoff: time.Minute, RetryOn: []int{404, 423, 503}}
	for _, tt := range []struct {
		name   string
		tries  int
		out    Outcome
		again  bool
		phase  Phase
		next   time.Duration
		reason string
	}{
		{"done", 0, Outcome{Status: 200, Location: "/x"}, false, Done, 0, ""},
		{"created", 2, Outcome{Status: 201}, true, Done, 0, ""},
		{"see other", 0, Outcome{Status: 303}, false, Done, 0, ""},
		{"moved", 0, Outcome{Status: 308}, false, Dead, 0, "308"},
		{"refused", 0, Outcome{Status: 400}, false, Dead, 0, "400 Bad Request"},
		{"conflict", 0, Outcome{Status: 409}, false, Dead, 0, "409"},
		{"conflict with itself", 0, Outcome{Status: 409}, true, Retrying, time.Second, "409"},
		{"listed", 0, Outcome{Status: 404}, false, Retrying, time.Second, "404"},
		{"listed, given up", 2, Outcome{Status: 404}, true, Dead, 0, "given up after 3 tries: the upstream answers 404"},
		{"listed, and says when", 0, Outcome{Status: 423, RetryAfter: 9 * time.Second}, false, Retrying, 9 * time.Second, "423"},
		{"listed and 5xx", 0, Outcome{Status: 503}, false, Retrying, time.Second, "503"},
		{"not listed", 0, Outcome{Status: 410}, false, Dead, 0, "410"},
		{"timeout", 0, Outcome{Status: 408}, false, Retrying, time.Second, "408"},
		{"too early", 0, Outcome{Status: 425}, false, Retrying, time.Second, "425"},
		{"too many", 0, Outcome{Status: 429, RetryAfter: 10 * time.Second}, false, Retrying, 10 * time.Second, "429"},
		{"far too many", 0, Outcome{Status: 429, RetryAfter: 1000 * time.Hour}, false, Retrying, time.Hour, "429"},
		{"error", 1, Outcome{Status: 500}, false, Retrying, 2 * time.Second, "500"},
		{"no answer", 0, Outcome{Err: errors.New("reset")}, false, Retrying, time.Second, "reset"},
		{"given up", 2, Outcome{Err: errors.New("reset")}, true, Dead, 0, "given up after 3 tries: reset"},
		{"hopeless", 0, Outcome{Err: errors.New("no path"), Hopeless: true}, false, Dead, 0, "no path"},
	} {
		s := p.settle(State{Phase: Queued, Tries: tt.tries}, tt.out, tt.again, now, 1)
		wait := time.Duration(0)
		if !s.Next.IsZero() {
			wait = s.Next.Sub(now)
		}
		if s.Phase != tt.phase || wait != tt.next || !strings.Contains(s.Reason, tt.reason) || s.Tries != tt.tries+1 || s.Status != tt.out.Status || s.Location != tt.out.Location {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
}

// TestDelay checks that the delay doubles up to its limit, that at least half of it is waited, and
// that it is never shorter than Retry-After.
func TestDelay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{Backoff: time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "backoff"))}
		p.MaxBackoff = p.Backoff + time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "more"))
		n := rapid.IntRange(1, 1000).Draw(t, "n")
		after := time.Duration(rapid.Int64Range(0, int64(maxRetryAfter)).Draw(t, "after"))
		d := p.delay(n, after, rapid.Float64Range(0, 0.999).Draw(t, "random"))
		most := p.MaxBackoff
		if n < 20 { // doubled so often, an hour does not overflow
			most = min(most, p.Backoff<<(n-1))
		}
		if d < after || d > max(most, after) || n < 20 && d < most/2 {
			t.Fatalf("%v for try %d of %+v after %v, at most %v", d, n, p, after, most)
		}
	})
}
