package fleet

import (
	"testing"

	"github.com/penstock/penstock/test/redistest"
)

// TestPurgeWithoutRedis purges by each kind on one instance that has no Redis.
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

// alone starts one instance without a Redis.
func alone(t *testing.T, s Setup) *bench {
	t.Helper()
	origin := NewOrigin(t)
	s.Origin = origin.URL
	f := gateway.StartFleet(t, s, "a")
	return &bench{Fleet: f, a: f[0], origin: origin}
}

// TestStartWithoutRedis starts where there is no Redis, serves, and uses it once it is there.
func TestStartWithoutRedis(t *testing.T) {
	redis, origin := redistest.Start(t), NewOrigin(t)
	redis.Stop()
	s := Setup{Origin: origin.URL, Redis: redis.URL()}
	a, b := gateway.Start(t, "a", s), gateway.Start(t, "b", s)
	for _, i := range []*Instance{a, b} {
		redisIs(t, i, "degraded")
		q := Request{Path: "/without/" + i.Name}
		sound(t, q, i.Do(q))
		hit(t, i, q, 1)
	}
	redis.Restart()
	redisIs(t, a, "up")
	redisIs(t, b, "up")
	Fleet{a, b}.Meet(t)
	q := Request{Path: "/with/redis"}
	sound(t, q, a.Do(q))
	hit(t, b, q, 1)
}
