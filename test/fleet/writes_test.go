package fleet

import (
	"net/http"
	"testing"
)

const written = `
- name: users
  match: {path: "/users/{id}", methods: [GET, HEAD, PUT, PATCH, DELETE]}
  writes: {policy: invalidate, targets: ["/profiles/{id}", "tag:team:{id}"]}
`

// TestWritesInvalidateEverywhere sends an unsafe request to one instance and requests to the
// others.
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
			a := by.Do(Request{Method: method, Path: "/users/7"})
			t.Logf("the write took %v", a.Took)
			if a.Err != nil || a.Status != http.StatusNoContent {
				t.Fatalf("%s: %v", method, a)
			}
			for _, q := range stale {
				for _, i := range b.Fleet {
					current(t, i, q, version) // at once: the write was answered after the others knew of it
				}
			}
			for _, q := range bystands {
				for _, i := range b.Fleet {
					hit(t, i, q, 1)
				}
			}
		})
	}
}
