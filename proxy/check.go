package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/store/shared"
)

// Check reports whether a gateway could be made of cfg, without being one: it joins no fleet, connects to no upstream and opens no queue.
func Check(ctx context.Context, cfg *config.Config) error {
	alone := *cfg
	if cfg.Cache.Redis != nil {
		if err := shared.CheckURL(cfg.Cache.Redis.URL); err != nil {
			return fmt.Errorf("cache.redis.url: %w", err)
		}
		alone.Cache.Redis = nil
	}
	alone.Cost = nil // no account is begun
	alone.Upstreams = maps.Clone(cfg.Upstreams)
	for name, u := range cfg.Upstreams {
		cold := *u
		cold.Pool.Min = 0 // nothing is connected to in advance
		alone.Upstreams[name] = &cold
	}
	g, err := New(&alone, Options{Log: slog.New(slog.DiscardHandler), dry: true})
	if err != nil {
		return err
	}
	return g.Close(ctx)
}
