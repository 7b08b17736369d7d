package writes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/load/program"
)

// TestFileIsRestoredOrRemoved puts an older copy of the queue's file in place, and then none. A
// file tells all that a gateway knows of its writes: those of the copy are applied, once more with
// their keys if they were applied already, and of later ones there is no trace.
func TestFileIsRestoredOrRemoved(t *testing.T) {
	u := newKeyed(t)
	file := filepath.Join(t.TempDir(), "writes.db")
	p := gateway.Start(t, fmt.Sprintf(fileConfig, file, u.URL))
	u.refuses.Store(true)
	early := accepted(t, p, "/items/1")
	kill(p)
	copied, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	u.refuses.Store(false)
	p = gateway.Start(t, fmt.Sprintf(fileConfig, file, u.URL))
	becomes(t, p, early, "done")
	late := accepted(t, p, "/items/2")
	becomes(t, p, late, "done")
	kill(p)

	if err := os.WriteFile(file, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	p = gateway.Start(t, fmt.Sprintf(fileConfig, file, u.URL))
	becomes(t, p, early, "done")
	if keys := u.of("/items/1"); len(keys) != 2 || keys[0] == "" || keys[0] != keys[1] {
		t.Errorf("the write of the copy was applied with the keys %q; want it twice with one key", keys)
	}
	unknown(t, p, late)
	kill(p)

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p = gateway.Start(t, fmt.Sprintf(fileConfig, file, u.URL))
	unknown(t, p, early)
	becomes(t, p, accepted(t, p, "/items/3"), "done")
}

// keyed is an upstream that notes the Idempotency-Keys of the writes that it has applied.
type keyed struct {
	*httptest.Server
	refuses atomic.Bool
	mu      sync.Mutex
	keys    map[string][]string // by path
}

func newKeyed(t *testing.T) *keyed {
	u := &keyed{keys: make(map[string][]string)}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u.refuses.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		u.mu.Lock()
		u.keys[r.URL.Path] = append(u.keys[r.URL.Path], r.Header.Get("Idempotency-Key"))
		u.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *keyed) of(path string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.keys[path])
}

// ask sends a request with a host of its own: a state is told on the host of the write alone,
// whatever port the gateway has.
func ask(t *testing.T, p *program.Process, method, path string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+p.Public()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "items.test"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// accepted writes to a path and returns the path of the write's state.
func accepted(t *testing.T, p *program.Process, path string) string {
	t.Helper()
	resp := ask(t, p, http.MethodPut, path)
	if resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status)
	}
	return resp.Header.Get("Location")
}

func becomes(t *testing.T, p *program.Process, state, want string) {
	t.Helper()
	gatewaytest.Eventually(t, "the write is "+want, func() bool {
		var said struct{ State any } // a number if there is no such write
		return json.NewDecoder(ask(t, p, http.MethodGet, state).Body).Decode(&said) == nil && said.State == want
	})
}

// unknown fails the test unless the gateway says that there is no such write.
func unknown(t *testing.T, p *program.Process, state string) {
	t.Helper()
	if resp := ask(t, p, http.MethodGet, state); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the state of a write that the file does not have is %s", resp.Status)
	}
}

func kill(p *program.Process) {
	p.Signal(syscall.SIGKILL)
	p.Wait()
}
