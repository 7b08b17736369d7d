package fleet

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/proxy/cost"
	"github.com/penstock/penstock/proxy/store/shared"
)

// Keeper returns the place where the fleet keeps its cost account, or nil if this instance is
// alone.
func (m *Member) Keeper() cost.Keeper {
	if m.redis == nil {
		return nil
	}
	return &keeper{tallies: shared.NewTallies(m.redis.Client)}
}

// keeper keeps the account in the Redis of the fleet, in one tally for each month.
type keeper struct {
	tallies *shared.Tallies
	tidied  cost.Month // the month for which the oldest tally was removed; Add is called by one goroutine at a time
}

var _ cost.Keeper = (*keeper)(nil)

func tallyName(m cost.Month) string { return "cost:" + string(m) }

// Add adds b to the month's tally and returns the new totals.
func (f *keeper) Add(ctx context.Context, b *cost.Batch) (*cost.Kept, error) {
	counters := make(map[string]uint64)
	for route, u := range b.Routes {
		for i, field := range cost.FieldNames {
			if n := u.Number(i); n > 0 {
				counters[field+" "+route] = n
			}
		}
	}
	t, err := f.tallies.Add(ctx, tallyName(b.Month), b.Writer, b.Serial, b.Since, counters)
	if err != nil {
		return nil, err
	}
	if f.tidied != b.Month && f.tallies.Forget(ctx, tallyName(b.Month.Back(cost.Months))) == nil {
		f.tidied = b.Month
	}
	return keptOf(t), nil
}

// Month reads a month's tally.
func (f *keeper) Month(ctx context.Context, m cost.Month) (*cost.Kept, error) {
	t, err := f.tallies.Add(ctx, tallyName(m), "", 0, time.Time{}, nil)
	if err != nil {
		return nil, err
	}
	return keptOf(t), nil
}

// Claim takes an alert, and reports whether writer got it.
func (f *keeper) Claim(ctx context.Context, a cost.AlertKey, writer string, _ time.Time) (bool, error) {
	return f.tallies.Claim(ctx, tallyName(a.Month), a.Share.String(), writer, cost.ClaimTime)
}

// Conclude records that an alert was sent.
func (f *keeper) Conclude(ctx context.Context, a cost.AlertKey, told cost.Told) error {
	text, err := json.Marshal(told)
	if err != nil {
		return err
	}
	return f.tallies.Conclude(ctx, tallyName(a.Month), a.Share.String(), string(text))
}

// Close does nothing, because the Member itself leaves the fleet.
func (f *keeper) Close() error { return nil }

// Place returns the name of the place for operators.
func (f *keeper) Place() string { return "redis" }

// keptOf reads a tally. It skips entries that Add and Conclude did not write.
func keptOf(t *shared.Tally) *cost.Kept {
	k := &cost.Kept{Since: t.Began, Routes: make(map[string]cost.Usage), Alerts: make(map[cost.Share]cost.Told)}
	for name, n := range t.Counters {
		field, route, _ := strings.Cut(name, " ")
		if i := slices.Index(cost.FieldNames[:], field); i >= 0 {
			u := k.Routes[route]
			u.SetNumber(i, n)
			k.Routes[route] = u
		}
	}
	for share, word := range t.Done {
		var s cost.Share
		var told cost.Told
		if s.UnmarshalText([]byte(share)) == nil && json.Unmarshal([]byte(word), &told) == nil {
			k.Alerts[s] = told
		}
	}
	return k
}
