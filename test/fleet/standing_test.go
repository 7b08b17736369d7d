package fleet

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

// TestStandingIsTold stops Redis: readiness, metrics, the figures of the board and `penstock stats`
// each say that the instance does not know the purges of others, since when, and what that means.
func TestStandingIsTold(t *testing.T) {
	redis, origin := redistest.Start(t), NewOrigin(t)
	a := gateway.Start(t, "a", Setup{Origin: origin.URL, Redis: redis.URL(), Tier: "timeout: 1s, max_cut_off: 5s"})
	redisIs(t, a, "up")
	b := &bench{a: a}
	if out := b.penstock(t, "stats --once"); strings.Contains(out, "not known") {
		t.Errorf("stats with Redis:\n%s", out)
	}
	redis.Stop()
	stopped := time.Now().Add(-2 * time.Second) // times are told in seconds
	b.tells(t, "purges of other instances are not known; memory is served", "0", stopped)
	b.tells(t, "purges of other instances are not known; stored responses are validated before each use", "1", stopped)
	redis.Restart()
	redisIs(t, a, "up")
	eventually(t, "stats say that all is well", 10*time.Second, func() bool { return !strings.Contains(b.penstock(t, "stats --once"), "not known") })
}

// tells waits until all ways to ask say what.
func (b *bench) tells(t *testing.T, what, doubted string, stopped time.Time) {
	t.Helper()
	var ready struct {
		Redis struct {
			Current bool `json:"purges_current"`
			Purges  struct {
				State, Error string
				Since        time.Time
			}
		}
	}
	eventually(t, "/readyz says "+what, 15*time.Second, func() bool {
		return json.Unmarshal([]byte(b.a.Ready().Body), &ready) == nil && ready.Redis.Purges.State == what
	})
	if ready.Redis.Current || ready.Redis.Purges.Error == "" || ready.Redis.Purges.Since.Before(stopped) {
		t.Errorf("/readyz: %+v", ready)
	}
	metrics := b.operators(t, "/metrics")
	for name, want := range map[string]string{"purges_current": "0", "memory_doubted": doubted} {
		if !strings.Contains(metrics, "\npenstock_redis_"+name+" "+want+"\n") {
			t.Errorf("/metrics has no penstock_redis_%s %s", name, want)
		}
	}
	if !strings.Contains(metrics, "\npenstock_redis_purges_change_time_seconds ") {
		t.Error("/metrics does not say since when")
	}
	var stats struct {
		Tiers []struct {
			Name, State, Error string
			Since              time.Time
		}
	}
	if err := json.Unmarshal([]byte(b.operators(t, "/api/stats")), &stats); err != nil {
		t.Fatal(err)
	}
	if tier := stats.Tiers[len(stats.Tiers)-1]; tier.Name != "redis" || tier.State != "degraded" || !strings.HasPrefix(tier.Error, what+": ") || tier.Since.Before(stopped) {
		t.Errorf("/api/stats: %+v", tier)
	}
	if out := strings.Join(strings.Fields(b.penstock(t, "stats --once")), " "); !strings.Contains(out, "redis: "+what+": ") {
		t.Errorf("stats does not say %q:\n%s", what, out)
	}
}

// operators asks the operators' listener of a.
func (b *bench) operators(t *testing.T, path string) string {
	t.Helper()
	resp, err := b.a.client.Get(b.a.Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
