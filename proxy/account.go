package proxy

import (
	"context"
	"crypto/rand"
	"slices"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cost"
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
	if a != nil && cfg != nil && (g.accounting.file == cfg.File || !g.live.fleet.Alone()) {
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
		Read: g.figures.Meter().Read, Keeper: g.keeper(cfg), Writer: rand.Text(), Settings: costSettings(cfg), Now: g.options.Now, Log: g.options.Log,
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
	if kept := g.live.fleet.Keeper(); kept != nil {
		return kept
	}
	if cfg.File != "" {
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
