package fleet

import (
	"fmt"
	"net/http"
	"testing"

	"pgregory.net/rapid"
)

const writtenThrough = `
- name: users
  match: {path: "/users/{id}", methods: [GET, HEAD, PUT, PATCH, DELETE]}
  writes: {policy: through, targets: ["/profiles/{id}", "tag:team:{id}"]}
- name: echoes
  match: {path: "/echo/{id}"}
  writes: {policy: through, targets: ["tag:team:{id}"]}
`

// TestWritesThrough sends a write to one instance and requests to all. The writing instance has the
// new version in memory, the others find it in the shared tier, and the origin gets no further
// request.
func TestWritesThrough(t *testing.T) {
	b := three(t, Setup{Routes: writtenThrough})
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		if n++; n > size(25, 1000) {
			return
		}
		q := Request{Path: fmt.Sprintf("/users/%d", n%7)}
		profile := Request{Path: fmt.Sprintf("/profiles/%d", n%7)}
		for _, i := range b.Fleet {
			if rapid.Bool().Draw(rt, "warm "+i.Name) {
				sound(t, q, i.Do(q))
				sound(t, profile, i.Do(profile))
			}
		}
		by := b.Fleet[rapid.IntRange(0, 2).Draw(rt, "writer")]
		method := rapid.SampledFrom([]string{http.MethodPut, http.MethodPatch}).Draw(rt, "method")
		version := b.origin.Bump()
		if a := by.Do(Request{Method: method, Path: q.Path}); a.Err != nil || a.Status != http.StatusNoContent {
			rt.Fatalf("%s: %v", method, a)
		}
		asked := len(b.origin.Calls(q.Path))
		order := rapid.Permutation([]int{0, 1, 2}).Draw(rt, "readers")
		for _, reader := range order {
			hit(t, b.Fleet[reader], q, version)
		}
		if now := len(b.origin.Calls(q.Path)); now != asked {
			rt.Fatalf("the origin was asked %d times after the write", now-asked)
		}
		for _, i := range b.Fleet {
			current(t, i, profile, version)
		}
	})
}

// TestAnswersOfWritesAreShared sends a write that is answered with the new representation. The
// origin gets no other request, and all instances have the response.
func TestAnswersOfWritesAreShared(t *testing.T) {
	b := three(t, Setup{Routes: writtenThrough})
	q := Request{Path: "/echo/1"}
	for n, i := range b.Fleet {
		for _, reader := range b.Fleet {
			sound(t, q, reader.Do(q))
		}
		before := len(b.origin.Calls(q.Path))
		version := b.origin.Bump()
		a := i.Do(Request{Method: http.MethodPut, Path: q.Path})
		if a.Err != nil || a.Status != http.StatusOK || a.Version() != version {
			t.Fatalf("round %d: %v", n, a)
		}
		for _, reader := range b.Fleet {
			hit(t, reader, q, version)
		}
		if calls := len(b.origin.Calls(q.Path)) - before; calls != 1 {
			t.Errorf("round %d: the origin was asked %d times for one write and its readers", n, calls)
		}
	}
}
