package check

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// origin has one version for all that it serves. Each write makes the next one, and is recorded.
type origin struct {
	*httptest.Server
	clock   func() time.Duration
	tags    int // that the responses below /many/ have before the one by which they are purged
	version atomic.Int64
	refuses atomic.Bool // writes to the queue, with 503

	mu       sync.Mutex
	random   *rand.Rand
	arrivals []Arrival
}

func newOrigin(tb testing.TB, seed uint64, tags int, clock func() time.Duration) *origin {
	o := &origin{clock: clock, tags: tags, random: rand.New(rand.NewPCG(seed, 1))}
	o.version.Store(1)
	o.Server = httptest.NewServer(o)
	tb.Cleanup(o.Close)
	return o
}

// bump begins the next version and returns it.
func (o *origin) bump() int64 { return o.version.Add(1) }

// ServeHTTP answers after a moment, with the version that held when the request came.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version := o.version.Load()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		if version = o.write(r); version == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("X-Version", strconv.FormatInt(version, 10))
		w.WriteHeader(http.StatusNoContent)
		return
	}
	time.Sleep(o.moment())
	h := w.Header()
	h.Set("Cache-Control", "max-age=3600")
	h.Set("X-Version", strconv.FormatInt(version, 10))
	h.Set("Surrogate-Key", o.tagsOf(r.URL.Path))
	h.Set("ETag", fmt.Sprintf(`"%d"`, version))
	if r.Header.Get("If-None-Match") == h.Get("ETag") {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = fmt.Fprintf(w, "%s at version %d", r.URL.Path, version) // the gateway may be gone
}

// moment lets fills overlap with purges.
func (o *origin) moment() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Duration(o.random.Int64N(int64(15 * time.Millisecond)))
}

// write returns the version that it makes, 0 if it is refused.
func (o *origin) write(r *http.Request) int64 {
	body, err := io.ReadAll(r.Body)
	number, errNumber := strconv.Atoi(string(body))
	if err != nil || errNumber != nil || o.refuses.Load() && policyOf(r.URL.Path) == Behind {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.arrivals = append(o.arrivals, Arrival{o.clock(), r.URL.Path, number, r.Header.Get("Idempotency-Key")})
	return o.bump()
}

// arrived is a copy of the writes so far.
func (o *origin) arrived() []Arrival {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Arrival(nil), o.arrivals...)
}

// tagsOf are the tags of a response: object:/pages/a/1 and group:/pages/a.
func (o *origin) tagsOf(path string) string {
	var tags strings.Builder
	if strings.HasPrefix(path, "/many/") {
		for n := range o.tags {
			fmt.Fprintf(&tags, "filling:%d ", n)
		}
	}
	fmt.Fprintf(&tags, "group:%s object:%s", path[:strings.LastIndexByte(path, '/')], path)
	return tags.String()
}

// policyOf is how writes to a path are treated.
func policyOf(path string) Policy {
	switch {
	case strings.HasPrefix(path, "/behind/"):
		return Behind
	case strings.HasPrefix(path, "/through/"):
		return Through
	}
	return Invalidate
}
