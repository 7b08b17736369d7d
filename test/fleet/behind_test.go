package fleet

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const writtenBehind = `
- name: users
  match: {path: "/users/{id}", methods: [GET, HEAD, PUT, PATCH, DELETE]}
  writes: {policy: behind, targets: ["/profiles/{id}"], queue: {cache_body: true}}
`

// TestWritesBehind sends a write to one instance. All instances serve the written value before the
// write is applied, and its effect afterwards.
func TestWritesBehind(t *testing.T) {
	b := three(t, Setup{Routes: writtenBehind})
	q, profile := Request{Path: "/users/7"}, Request{Path: "/profiles/7"}
	for _, i := range b.Fleet {
		sound(t, q, i.Do(q))
		sound(t, profile, i.Do(profile))
	}
	hold := make(chan struct{})
	held := make(chan struct{}, 16)
	b.origin.Hold(func(c Call) {
		if c.Method == http.MethodPut {
			held <- struct{}{}
			<-hold
		}
	})
	location := b.b.queue(t, q.Path, "what was written")
	select {
	case <-held:
	case <-time.After(20 * time.Second):
		t.Fatal("no instance has started to apply the write")
	}
	for _, i := range b.Fleet {
		status, header, body := i.get(t, q.Path)
		if status != http.StatusOK || body != "what was written" || !strings.Contains(header.Get("Cache-Status"), "detail=queued") {
			t.Errorf("%s: %d %q %s", i.Name, status, body, header["Cache-Status"])
		}
	}
	version := b.origin.Bump()
	b.origin.Hold(nil)
	close(hold)
	for _, i := range b.Fleet {
		eventually(t, i.Name+" says that it is done", 20*time.Second, func() bool {
			_, _, body := i.get(t, location)
			return strings.Contains(body, `"state":"done"`)
		})
	}
	for _, i := range b.Fleet {
		current(t, i, q, version)
		current(t, i, profile, version)
	}
}

// TestWritesWithoutRedis checks that a write is accepted only if it is stored, and that stored
// writes are applied when Redis is back.
func TestWritesWithoutRedis(t *testing.T) {
	b := three(t, Setup{Routes: writtenBehind})
	b.redis.Stop()
	for range 3 {
		status, header, _ := b.a.send(t, http.MethodPut, "/users/8", "x")
		if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
			t.Errorf("%d %v", status, header)
		}
	}
	b.redis.Restart()
	eventually(t, "writes are accepted again", 20*time.Second, func() bool {
		status, _, _ := b.a.send(t, http.MethodPut, "/users/8", "x")
		return status == http.StatusAccepted
	})
	eventually(t, "it is applied", 20*time.Second, func() bool { return len(b.origin.Calls("/users/8")) > 0 })
}

// queue sends a write that must be accepted, and returns the path of its state.
func (i *Instance) queue(t *testing.T, path, body string) string {
	t.Helper()
	status, header, said := i.send(t, http.MethodPut, path, body)
	if status != http.StatusAccepted {
		t.Fatalf("%s: %d %s", i.Name, status, said)
	}
	return header.Get("Location")
}

func (i *Instance) get(t *testing.T, path string) (int, http.Header, string) {
	t.Helper()
	return i.send(t, http.MethodGet, path, "")
}

// send sends a request with the Host field Host to an instance.
func (i *Instance) send(t *testing.T, method, path, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, i.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = Host
	resp, err := i.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(said)
}
