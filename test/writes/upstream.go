package writes

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Upstream keeps for each path what was written, in its order. It honours Idempotency-Key, and fails a share of its calls: before it has applied
// them, or after.
type Upstream struct {
	*httptest.Server
	mu       sync.Mutex
	logs     map[string][]int
	applied  map[string]bool // by Idempotency-Key
	failures int
	repeats  int
	calls    int
	random   *rand.Rand
}

// NewUpstream starts an upstream. It ends with the test.
func NewUpstream(t testing.TB) *Upstream {
	u := &Upstream{logs: map[string][]int{}, applied: map[string]bool{}, random: rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))}
	u.Server = httptest.NewServer(u)
	t.Cleanup(u.Close)
	return u
}

// ServeHTTP takes a number for a path.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	key := r.Header.Get("Idempotency-Key")
	n, errNumber := strconv.Atoi(string(body))
	if err != nil || errNumber != nil || key == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	switch fails := u.take(r.URL.Path, key, n); fails {
	case sound:
		w.WriteHeader(http.StatusNoContent)
	case refuses:
		w.WriteHeader(http.StatusServiceUnavailable)
	case breaksOff:
		panic(http.ErrAbortHandler)
	}
}

type failure int

const (
	sound failure = iota
	refuses
	breaksOff
)

// take applies a write, if it is not to fail before, and says how it is answered.
func (u *Upstream) take(path, key string, n int) failure {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls++
	how := sound
	after := u.random.IntN(2) == 0
	if u.random.IntN(5) == 0 {
		u.failures++
		if how = refuses; u.random.IntN(2) == 0 {
			how = breaksOff
		}
		if !after {
			return how
		}
	}
	if u.applied[key] {
		u.repeats++
		return how
	}
	u.applied[key] = true
	u.logs[path] = append(u.logs[path], n)
	return how
}

// Count is how many writes were applied.
func (u *Upstream) Count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.applied)
}

// Report says in one line what the upstream has seen.
func (u *Upstream) Report() (calls, failures, repeats int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls, u.failures, u.repeats
}

// Log is what was written to a path.
func (u *Upstream) Log(path string) []int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.logs[path]
}
