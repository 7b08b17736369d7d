package fleet

import (
	"testing"

	"github.com/penstock/penstock/test/redistest"
)

// TestPurgeWithoutRedis makes each kind of purge on one instance without Redis.
func TestPurgeWithoutRedis(t *testing.T) {
	b := alone(t, Setup{Routes: shop})
	for _, c := range purgeCases() {
		t.Run(c.name, func(t *testing.T) {
			before := b.warm(t, c)
			version := b.origin.Bump()
			b.MustPurge(b.a, c.purge)
			for _, q := range c.hits {
				current(t, b.a, q, version)
				hit(t, b.a, q, version)
			}
			for _, q := range c.bystands {
				hit(t, b.a, q, before)
			}
		})
	}
}

// alone starts one instance without Redis.
func alone(t *testing.T, s Setup) *bench {
	t.Helper()
	origin := NewOrigin(t)
	s.Origin = origin.URL
	f := gateway.StartFleet(t, s, "a")
	return &bench{Fleet: f, a: f[0], origin: origin}
}

// TestStartWithoutRedis starts an instance while Redis is down. The instance serves requests, and
// uses Redis once it is up. Until it knows the purges of others, it asks the origin each time,
// unless max_cut_off is 0s; then it serves stored responses.
func TestStartWithoutRedis(t *testing.T) {
	redis, origin := redistest.Start(t), NewOrigin(t)
	redis.Stop()
	s := Setup{Origin: origin.URL, Redis: redis.URL()}
	a := gateway.Start(t, "a", s)
	s.Tier = "max_cut_off: 0s"
	b := gateway.Start(t, "b", s)
	for _, i := range []*Instance{a, b} {
		redisIs(t, i, "degraded")
		q := Request{Path: "/without/" + i.Name}
		current(t, i, q, origin.Version())
		if i == b {
			hit(t, i, q, origin.Version())
			continue
		}
		if x := current(t, i, q, origin.Bump()); x.Hit() {
			t.Errorf("%s serves stored responses: %v", i.Name, x)
		}
	}
	redis.Restart()
	redisIs(t, a, "up")
	redisIs(t, b, "up")
	Fleet{a, b}.Meet(t)
	q := Request{Path: "/with/redis"}
	sound(t, q, a.Do(q))
	hit(t, b, q, origin.Version())
}
