package cost

import (
	"strconv"
	"strings"
	"time"
)

// Share is a fraction in millionths: 80 % is 800000.
type Share int64

const wholeShare = 1_000_000

// ShareOf returns the share nearest to a fraction.
func ShareOf(fraction float64) Share { return Share(fraction*wholeShare + 0.5) }

// String returns the share as written in configurations: 80%, 12.5%.
func (s Share) String() string {
	text := strconv.FormatInt(int64(s)/10_000, 10) + "." + strconv.FormatInt(int64(s)%10_000+10_000, 10)[1:]
	return strings.TrimRight(strings.TrimRight(text, "0"), ".") + "%"
}

// MarshalText returns String, for keys and values in JSON.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses the output of MarshalText.
func (s *Share) UnmarshalText(text []byte) error {
	f, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "%"), 64)
	*s = ShareOf(f / 100)
	return err
}

// Budget is the monthly budget and its alerts.
type Budget struct {
	Monthly Micros
	AlertAt []Share // ascending
	Webhook string  // "" means that alerts only go to the log
}

// crossed returns the shares of the budget that spent has reached.
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

// leastObserved is the minimum age of an account before its month is projected.
const leastObserved = time.Minute

// projected extrapolates the spending since the account began to the whole month. It returns false
// if it is too early to say.
func projected(spent Amount, m Month, since, now time.Time) (Amount, bool) {
	begin, end := m.bounds()
	if since.After(begin) {
		begin = since
	}
	if now.After(end) {
		return spent, true // the month is over
	}
	observed := now.Sub(begin)
	if observed < leastObserved {
		return Amount{}, false
	}
	return spent.scaled(int64(end.Sub(begin)/time.Millisecond), int64(observed/time.Millisecond)), true
}
