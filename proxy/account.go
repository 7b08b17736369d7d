package proxy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cost"
	"github.com/penstock/penstock/proxy/store/shared"
)

// accounting holds the cost account, if the configuration asks for one. It outlives a Snapshot.
type accounting struct {
	running atomic.Pointer[cost.Account]
	file    string // with which the running account was opened
}

// closeTime bounds how long an account that is being closed may take to write its unsaved part.
const closeTime = 5 * time.Second

// account puts the cost part of a configuration in force. It can't fail: figures that can't be
// saved yet are held until they can.
func (g *Gateway) account(cfg *config.Cost) {
	a := g.accounting.running.Load()
	if a != nil && cfg != nil && (g.accounting.file == cfg.File || g.live.fleet != nil) {
		a.Configure(costSettings(cfg))
		return
	}
	g.accounting.running.Store(nil)
	if a != nil {
		g.closeAccount(a)
	}
	if cfg == nil || g.options.dry {
		return
	}
	g.accounting.file = cfg.File
	g.accounting.running.Store(cost.Open(cost.Config{
		Read: g.meter.Read, Keeper: g.keeper(cfg), Writer: rand.Text(), Settings: costSettings(cfg), Now: g.options.Now, Log: g.options.Log,
	}))
}

// closeAccount closes a. It has a time limit of its own: the limit of a stopping gateway may have
// passed while requests ended, and their cost counts.
func (g *Gateway) closeAccount(a *cost.Account) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := a.Close(ctx); err != nil {
		g.options.Log.Warn("closing the cost account", "error", err)
	}
}

func (g *Gateway) keeper(cfg *config.Cost) cost.Keeper {
	switch {
	case g.live.fleet != nil:
		return &fleetKeeper{tallies: shared.NewTallies(g.live.fleet.Client)}
	case cfg.File != "":
		return cost.NewFile(cfg.File)
	}
	g.options.Log.Info("the cost account begins anew with each start: set cost.file, or cache.redis, to keep it")
	return cost.NewMemory()
}

func costSettings(cfg *config.Cost) cost.Settings {
	s := cost.Settings{Currency: cfg.Currency, Prices: cost.Prices{
		EgressPerGB: cost.Micros(cfg.EgressPerGB), OriginPerGB: cost.Micros(cfg.OriginPerGB), OriginPerMillionRequests: cost.Micros(cfg.OriginPerMillionRequests),
	}}
	if b := cfg.Budget; b != nil {
		s.Budget = &cost.Budget{Monthly: cost.Micros(b.Monthly), Webhook: b.Webhook}
		for _, share := range b.AlertAt {
			s.Budget.AlertAt = append(s.Budget.AlertAt, cost.ShareOf(share))
		}
		slices.Sort(s.Budget.AlertAt)
	}
	return s
}

// Cost returns the account of this month's traffic. Its Configured is false if the configuration
// asks for no account.
func (g *Gateway) Cost() *cost.Report {
	if a := g.accounting.running.Load(); a != nil {
		return a.Report()
	}
	return &cost.Report{At: g.options.Now().UTC(), Hint: "set cost in the configuration", Routes: []cost.Line{}}
}

// pastCost returns the account of a month. ok is false if there is no account.
func (g *Gateway) pastCost(ctx context.Context, m cost.Month) (r *cost.Report, ok bool, err error) {
	a := g.accounting.running.Load()
	if a == nil {
		return nil, false, nil
	}
	r, err = a.Past(ctx, m)
	return r, true, err
}

// fleetKeeper keeps the account in the Redis of the fleet, in one tally for each month.
type fleetKeeper struct {
	tallies *shared.Tallies
	tidied  cost.Month // the month for which the oldest tally was removed; Add is called by one goroutine at a time
}

var _ cost.Keeper = (*fleetKeeper)(nil)

func tallyName(m cost.Month) string { return "cost:" + string(m) }

// Add adds b to the month's tally and returns the new totals.
func (f *fleetKeeper) Add(ctx context.Context, b *cost.Batch) (*cost.Kept, error) {
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
func (f *fleetKeeper) Month(ctx context.Context, m cost.Month) (*cost.Kept, error) {
	t, err := f.tallies.Add(ctx, tallyName(m), "", 0, time.Time{}, nil)
	if err != nil {
		return nil, err
	}
	return keptOf(t), nil
}

// Claim takes an alert, and reports whether writer got it.
func (f *fleetKeeper) Claim(ctx context.Context, a cost.AlertKey, writer string, _ time.Time) (bool, error) {
	return f.tallies.Claim(ctx, tallyName(a.Month), a.Share.String(), writer, cost.ClaimTime)
}

// Conclude records that an alert was sent.
func (f *fleetKeeper) Conclude(ctx context.Context, a cost.AlertKey, told cost.Told) error {
	text, err := json.Marshal(told)
	if err != nil {
		return err
	}
	return f.tallies.Conclude(ctx, tallyName(a.Month), a.Share.String(), string(text))
}

// Close does nothing, because the Gateway itself leaves the fleet.
func (f *fleetKeeper) Close() error { return nil }

// Place returns the name of the place for operators.
func (f *fleetKeeper) Place() string { return "redis" }

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
