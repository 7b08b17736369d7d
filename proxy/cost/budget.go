package cost

import (
	"strconv"
	"strings"
	"time"
)

// Share is a part of a whole in millionths: 80 % is 800000.
type Share int64

const wholeShare = 1_000_000

// ShareOf is the share nearest to a fraction.
func ShareOf(fraction float64) Share { return Share(fraction*wholeShare + 0.5) }

// String is the share as configurations write it: 80%, 12.5%.
func (s Share) String() string {
	text := strconv.FormatInt(int64(s)/10_000, 10) + "." + strconv.FormatInt(int64(s)%10_000+10_000, 10)[1:]
	return strings.TrimRight(strings.TrimRight(text, "0"), ".") + "%"
}

// MarshalText is String, for keys and values of JSON.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Share) UnmarshalText(text []byte) error {
	f, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "%"), 64)
	*s = ShareOf(f / 100)
	return err
}

// Budget is what a month may cost, and who hears of it.
type Budget struct {
	Monthly Micros
	AlertAt []Share // rising
	Webhook string  // ""; nobody is told but the log
}

// crossed are the shares of the budget that spent has reached.
func (b *Budget) crossed(spent Amount) []Share {
	monthly := Whole(b.Monthly)
	var out []Share
	for _, s := range b.AlertAt {
		if spent.scaled(wholeShare, 1).Cmp(monthly.scaled(int64(s), 1)) >= 0 {
			out = append(out, s)
		}
	}
	return out
}

// leastObserved is how long an account must have run before a month is projected from it.
const leastObserved = time.Minute

// projected is what a month comes to that goes on as it went since the account began, and whether that can be said yet.
func projected(spent Amount, m Month, since, now time.Time) (Amount, bool) {
	begin, end := m.bounds()
	if since.After(begin) {
		begin = since
	}
	if now.After(end) {
		return spent, true // it is over
	}
	observed := now.Sub(begin)
	if observed < leastObserved {
		return Amount{}, false
	}
	return spent.scaled(int64(end.Sub(begin)/time.Millisecond), int64(observed/time.Millisecond)), true
}
