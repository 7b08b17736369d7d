package listen

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
)

// TestConnectionsFitTheDescriptors checks that clients cannot use the descriptors that upstreams
// and Redis need, and that the log has the figures. The configuration has one listener, the admin
// listener, and an upstream of two targets.
func TestConnectionsFitTheDescriptors(t *testing.T) {
	for _, c := range []struct {
		want        int
		descriptors uint64
		pool        int // pool.max of the upstream
		redis       bool
		held        int
	}{
		{20000, 0, 512, true, 20000},                       // no limit
		{20000, 1<<64 - 1, 512, true, 20000},               // no limit
		{20000, 1 << 20, 512, true, 20000},                 // enough
		{20000, 65536, 512, true, 20000},                   // enough
		{20000, 20000, 512, false, 20000 - 66 - 2*512},     // the sum
		{20000, 20000, 512, true, 20000 - 66 - 2*512 - 64}, // the sum, with Redis
		{20000, 20000, 5000, false, 10000},                 // half, because the sum is 10066
		{20000, 20000, 0, false, 20000 - 66 - 5000},        // no bound: a quarter
		{20000, 1024, 512, false, 512},                     // half
		{20000, 1024, 100, false, 1024 - 66 - 200},         // the sum
		{20000, 100, 1, false, 36},                         // the least reserve
		{20000, 10, 1, false, 1},                           // at least one client
		{5, 100, 1, false, 5},                              // enough
	} {
		var log strings.Builder
		cfg := &config.Config{Upstreams: map[string]*config.Upstream{"api": {Targets: make([]config.Target, 2), Pool: config.Pool{Max: c.pool}}}}
		cfg.Server.Listen = make([]config.Listener, 1)
		cfg.Server.Limits.Connections = c.want
		if c.redis {
			cfg.Cache.Redis = &config.RedisStore{}
		}
		if got := boundConnections(slog.New(slog.NewTextHandler(&log, nil)), cfg, c.descriptors); got != c.held {
			t.Errorf("%+v: %d", c, got)
		}
		told := strings.Contains(log.String(), "LimitNOFILE") && strings.Contains(log.String(), fmt.Sprintf("held=%d ", c.held)) && strings.Contains(log.String(), " reserved=")
		if told != (c.held < c.want) {
			t.Errorf("%+v: %s", c, log.String())
		}
	}
}
