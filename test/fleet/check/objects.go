package check

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/penstock/penstock/test/fleet"
)

// routes are those of the objects. Pages may be served stale after a soft purge.
const routes = `
- {name: pages, match: {path: "/pages/*"}, cache: {stale_while_revalidate: 1h}}
- {name: invalidate, match: {path: "/invalidate/{id}"}, writes: {policy: invalidate}}
- {name: through, match: {path: "/through/{id}"}, writes: {policy: through}}
- {name: behind, match: {path: "/behind/{id}"}, writes: {policy: behind, queue: {cache_body: true, retries: 1000, backoff: 100ms, max_backoff: 500ms}}}
`

// objects are the paths below each folder, and how many there are.
var objects = []struct {
	folder string
	n      int
}{{"/pages/a", 5}, {"/pages/b", 5}, {"/many", 3}, {"/invalidate", 3}, {"/through", 3}, {"/behind", 4}}

func below(folder string, n int) (paths []string) {
	for i := range n {
		paths = append(paths, fmt.Sprintf("%s/%d", folder, i))
	}
	return paths
}

// readable are the paths of which versions are compared. What the queue shows of a write has no
// version.
func readable() (paths []string) {
	for _, o := range objects {
		if o.folder != "/behind" {
			paths = append(paths, below(o.folder, o.n)...)
		}
	}
	return paths
}

func one[T any](random *rand.Rand, of []T) T { return of[random.IntN(len(of))] }

// drawPurge is a purge of one object or of a folder, and what it covers.
func drawPurge(random *rand.Rand) (p fleet.Purge, paths []string) {
	o := objects[random.IntN(len(objects)-1)] // not of the last: it is written behind
	all := below(o.folder, o.n)
	path := one(random, all)
	switch random.IntN(8) {
	case 0:
		p, paths = fleet.Purge{Tag: "group:" + o.folder}, all
	case 1:
		p, paths = fleet.Purge{Prefix: o.folder + "/"}, all
	case 2, 3, 4:
		p, paths = fleet.Purge{URL: "http://" + fleet.Host + path}, []string{path}
	default:
		p, paths = fleet.Purge{Tag: "object:" + path}, []string{path}
	}
	p.Soft = strings.HasPrefix(path, "/pages/") && random.IntN(4) == 0
	p.Wait = "300ms"
	return p, paths
}
