package fleet

import (
	"net/http"
	"testing"
	"time"
)

const written = `
- name: users
  match: {path: "/users/{id}", methods: [GET, HEAD, PUT, PATCH, DELETE]}
  writes: {policy: invalidate, targets: ["/profiles/{id}", "tag:team:{id}"]}
`

// TestWritesInvalidateEverywhere sends an unsafe request through one instance and asks the others.
func TestWritesInvalidateEverywhere(t *testing.T) {
	b := three(t, Setup{Routes: written})
	stale := []Request{{Path: "/users/7"}, {Path: "/profiles/7"}, {Path: "/teams/7"}, {Path: "/other/7"}}
	bystands := []Request{{Path: "/users/8"}, {Path: "/profiles/8"}, {Path: "/teams/8"}}
	for n, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			by := b.Fleet[n]
			for _, q := range append(stale, bystands...) {
				for _, i := range b.Fleet {
					sound(t, q, i.Do(q))
				}
			}
			version := b.origin.Bump()
			if a := by.Do(Request{Method: method, Path: "/users/7"}); a.Err != nil || a.Status != http.StatusNoContent {
				t.Fatalf("%s: %v", method, a)
			}
			answered, slowest := time.Now(), time.Duration(0)
			for _, q := range stale {
				current(t, by, q, version)
				for _, i := range b.Fleet {
					eventually(t, i.Name+" has the new "+q.Path, 2*time.Second, func() bool { return i.Do(q).Version() == version })
					slowest = max(slowest, time.Since(answered))
				}
			}
			for _, q := range bystands {
				for _, i := range b.Fleet {
					hit(t, i, q, 1)
				}
			}
			t.Logf("all instances had all of it %v after the answer", slowest.Round(time.Microsecond))
		})
	}
}
