package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/fleet"
)

// Check returns an error if a gateway can't run cfg. It joins no fleet, connects to no upstream and
// opens no queue.
func Check(ctx context.Context, cfg *config.Config) error {
	g, err := NewOffline(cfg, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return g.Close(ctx)
}

// NewOffline returns a Gateway that runs cfg on its own. It joins no fleet, opens no queue, and
// connects to an upstream only if a request calls that upstream.
func NewOffline(cfg *config.Config, o Options) (*Gateway, error) {
	alone := *cfg
	if cfg.Cache.Redis != nil {
		if err := fleet.CheckURL(cfg.Cache.Redis.URL); err != nil {
			return nil, fmt.Errorf("cache.redis.url: %w", err)
		}
		alone.Cache.Redis = nil
	}
	alone.Cost = nil // no account is begun
	alone.Upstreams = maps.Clone(cfg.Upstreams)
	for name, u := range cfg.Upstreams {
		cold := *u
		cold.Pool.Min = 0 // no connection is opened in advance
		alone.Upstreams[name] = &cold
	}
	o.dry = true
	return New(&alone, o)
}
