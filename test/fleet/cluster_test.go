package fleet

import (
	"fmt"
	"testing"

	"github.com/penstock/penstock/test/redistest"
)

// TestCluster shares responses through a Redis Cluster of three nodes. All nodes hold objects.
func TestCluster(t *testing.T) {
	cluster, origin := redistest.StartCluster(t, 3), NewOrigin(t)
	f := gateway.StartFleet(t, Setup{Origin: origin.URL, Redis: cluster.URL(), Routes: shop, Tier: patient}, "a", "b", "c")
	b := &bench{Fleet: f, a: f[0], b: f[1], c: f[2], origin: origin}
	for n := range 30 {
		q := Request{Path: fmt.Sprintf("/users/%d", n)}
		sound(t, q, f[n%3].Do(q))
		hit(t, f[(n+1)%3], q, 1)
		hit(t, f[(n+2)%3], q, 1)
		b.asked(t, q.Path, 1)
	}
	large := Request{Path: "/size/600000"}
	sound(t, large, b.a.Do(large))
	hit(t, b.b, large, 1)
	for _, node := range cluster.Nodes {
		if n := len(node.Keys("penstock:{")); n == 0 {
			t.Errorf("no object is stored on %s", node.Addr)
		}
	}
	for n, p := range []Purge{{URL: "http://" + Host + "/users/0"}, {Tag: "part:1"}, {Tag: "user:2"}, {Prefix: "/users/3"}, {Route: "users"}, {Host: Host}, {All: true}} {
		q := Request{Path: fmt.Sprintf("/users/%d", n)}
		version := origin.Bump()
		f.MustPurge(f[n%3], p)
		for _, i := range f {
			current(t, i, q, version)
		}
	}
	herd := Request{Path: "/herd"}
	for _, a := range Herd(size(90, 900), func(n int) Answer { return f[n%3].Do(herd) }) {
		sound(t, herd, a)
	}
	b.asked(t, herd.Path, 1)
}
