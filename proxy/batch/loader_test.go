package batch

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/proxy/rawjson"
	"github.com/penstock/penstock/proxy/urltemplate"
)

// upstream answers each call after a second.
type upstream struct {
	calls atomic.Int32
	ids   sync.Map
}

func (u *upstream) RoundTrip(req *http.Request) (*http.Response, error) {
	n := u.calls.Add(1)
	ids, _, _ := strings.Cut(strings.TrimPrefix(req.URL.RawQuery, "ids="), "&")
	u.ids.Store(n, ids)
	time.Sleep(time.Second)
	var items []string
	for id := range strings.SplitSeq(ids, ",") {
		items = append(items, fmt.Sprintf(`{"id":%q}`, id))
	}
	body := "[" + strings.Join(items, ",") + "]"
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
}

func loader(t *testing.T, u *upstream) *Loader {
	target, err := urltemplate.Parse("/items?ids={ids}")
	if err != nil {
		t.Fatal(err)
	}
	key, _ := rawjson.ParsePath("id")
	return New(Config{
		Origin: u, Target: target, Captured: []string{"id"}, Window: time.Minute, Max: 10, URLBytes: 4096, Key: key, Missing: 404,
		Limits: Limits{Bytes: 1 << 20, Depth: 10}, Timeout: time.Hour,
	})
}

// read asks for one identifier, as a request that has entered, and tells how long it took.
func (l *Loader) read(t *testing.T, id string) time.Duration {
	begun := time.Now()
	req := &http.Request{Method: "GET", URL: &url.URL{Path: "/" + id}, Header: http.Header{}}
	resp, err := l.RoundTrip(req.WithContext(t.Context()))
	if err != nil {
		t.Error(err)
		return 0
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != fmt.Sprintf(`{"id":%q}`, id) {
		t.Errorf("%s: %s", id, body)
	}
	l.Leave(1)
	return time.Since(begun)
}

// TestWhenABatchSetsOut has a window of a minute and calls of a second: what waits for the window shows.
func TestWhenABatchSetsOut(t *testing.T) {
	for _, c := range []struct {
		name    string
		entered int // requests that are about; those that do not read leave after 10 s
		reads   int
		calls   int32
		took    time.Duration
	}{
		{"alone", 1, 1, 1, time.Second},
		{"all there", 8, 8, 1, time.Second},
		{"full", 30, 10, 1, time.Second},
		{"another comes to nothing", 3, 2, 1, 11 * time.Second},
		{"nobody was announced", 0, 1, 1, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &upstream{}
				l := loader(t, u)
				l.Enter(c.entered)
				var all sync.WaitGroup
				for i := range c.reads {
					all.Go(func() {
						if took := l.read(t, fmt.Sprint(i)); took != c.took {
							t.Errorf("read %d took %v", i, took)
						}
					})
				}
				if c.took > time.Second {
					time.Sleep(10 * time.Second)
					l.Leave(c.entered - c.reads)
				}
				all.Wait()
				if n := u.calls.Load(); n != c.calls {
					t.Errorf("%d calls", n)
				}
			})
		})
	}
}

// TestReadsGatherBehindACall has two come while a call is on its way: they go together, when it is back or the window is over.
func TestReadsGatherBehindACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{}
		l := loader(t, u)
		var all sync.WaitGroup
		for i := range 3 {
			l.Enter(1)
			all.Go(func() { l.read(t, fmt.Sprint(i)) })
			time.Sleep(100 * time.Millisecond)
		}
		all.Wait()
		if ids, _ := u.ids.Load(int32(2)); u.calls.Load() != 2 || ids != "1,2" {
			t.Errorf("%d calls, the second for %v", u.calls.Load(), ids)
		}
	})
}

// TestTheSameIsAskedForOnce has four want one identifier.
func TestTheSameIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{}
		l := loader(t, u)
		l.Enter(4)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { l.read(t, "7") })
		}
		all.Wait()
		if ids, _ := u.ids.Load(int32(1)); u.calls.Load() != 1 || ids != "7" {
			t.Errorf("%d calls, for %v", u.calls.Load(), ids)
		}
	})
}
