package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/proxy/rawjson"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream answers for many ids after a delay, and records the requests.
type upstream struct {
	mu     sync.Mutex
	asked  []string // the ids of each call, in order of arrival
	seen   []*http.Request
	takes  time.Duration
	answer func(ids []string) (*http.Response, error) // nil: an element for each id
}

func (u *upstream) RoundTrip(req *http.Request) (*http.Response, error) {
	ids := req.URL.Query().Get("ids")
	u.mu.Lock()
	u.asked, u.seen = append(u.asked, ids), append(u.seen, req)
	u.mu.Unlock()
	select {
	case <-time.After(u.takes):
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
	if u.answer != nil {
		return u.answer(strings.Split(ids, ","))
	}
	return elements(strings.Split(ids, ",")...)
}

func (u *upstream) calls() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.asked)
}

func elements(ids ...string) (*http.Response, error) {
	var items []string
	for _, id := range ids {
		items = append(items, fmt.Sprintf(`{"id":%s, "n":1.50}`, id))
	}
	return response(200, `{"data":[`+strings.Join(items, ",")+`]}`), nil
}

func response(status int, body string, fields ...string) *http.Response {
	h := http.Header{"Cache-Control": {"max-age=60"}, "Etag": {`"all"`}, "Content-Type": {"application/json"}}
	for i := 0; i < len(fields); i += 2 {
		h.Set(fields[i], fields[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func path(t testing.TB, s string) rawjson.Path {
	t.Helper()
	p, err := rawjson.ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func loader(t testing.TB, u http.RoundTripper, change ...func(*Config)) *Loader {
	t.Helper()
	c := Config{
		Origin: u, Path: "/items?ids={ids}", ID: "id", Window: 2 * time.Millisecond, Max: 100, Key: path(t, "id"), Items: path(t, "data"),
		Missing: 404, MaxBody: 1 << 20,
		Capture: func(req *http.Request, name string) (string, bool) {
			id, ok := strings.CutPrefix(req.URL.Path, "/api/items/")
			return id, ok && name == "id"
		},
	}
	for _, f := range change {
		f(&c)
	}
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// answer is the result of a read.
type answer struct {
	status int
	body   string
	header http.Header
	err    error
	at     time.Time
}

func read(ctx context.Context, l *Loader, id string, fields ...string) answer {
	req := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/api/items/" + id}, Host: "shop.example", Header: http.Header{}}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := l.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return answer{err: err, at: time.Now()}
	}
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(body), resp.Header, err, time.Now()}
}

// reads starts all reads at once, in this order.
func reads(t *testing.T, l *Loader, ids ...string) []answer {
	out := make([]answer, len(ids))
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() { out[i] = read(t.Context(), l, id) })
		synctest.Wait()
	}
	all.Wait()
	return out
}

func TestSingleReadDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{takes: 10 * time.Millisecond}
		l := loader(t, u)
		begun := time.Now()
		for range 3 {
			read(t.Context(), l, "7")
		}
		if took := time.Since(begun); took != 30*time.Millisecond {
			t.Errorf("three reads, one after the other, took %v", took)
		}
	})
}

func TestReadsDuringACallShareTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{takes: 10 * time.Millisecond}
		l := loader(t, u)
		begun := time.Now()
		got := reads(t, l, "1", "2", "3", "2")
		if calls := u.calls(); !slices.Equal(calls, []string{"1", "2,3"}) {
			t.Errorf("calls %q", calls)
		}
		for i, want := range []time.Duration{10, 12, 12, 12} { // the window is shorter than the call
			if at := got[i].at.Sub(begun); at != want*time.Millisecond {
				t.Errorf("read %d was answered after %v", i, at)
			}
		}
		if got[1].body != `{"id":2, "n":1.50}` || got[3].body != got[1].body || got[1].status != 200 {
			t.Errorf("%+v", got)
		}
		h := got[1].header
		if h.Get("Cache-Control") != "max-age=60" || h.Get("Etag") == `"all"` || h.Get("Etag") == "" || h.Get("Content-Length") != "18" {
			t.Errorf("header %v", h)
		}
	})
}

func TestEndOfACallSendsTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{takes: time.Millisecond}
		l := loader(t, u, func(c *Config) { c.Window = time.Second })
		begun := time.Now()
		got := reads(t, l, "1", "2")
		if at := got[1].at.Sub(begun); at != 2*time.Millisecond {
			t.Errorf("the second was answered after %v", at)
		}
	})
}

func TestMaxSendsAtOnceAndGatherWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{takes: 10 * time.Millisecond}
		l := loader(t, u, func(c *Config) { c.Max = 3 })
		done := l.Gather(4)
		begun := time.Now()
		got := reads(t, l, "1", "2", "3", "4")
		done()
		done()
		if calls := u.calls(); !slices.Equal(calls, []string{"1,2,3", "4"}) {
			t.Errorf("calls %q", calls)
		}
		if at := got[0].at.Sub(begun); at != 10*time.Millisecond {
			t.Errorf("the full call was answered after %v", at)
		}
		read(t.Context(), l, "5")
		if at := time.Since(begun); at != 22*time.Millisecond {
			t.Errorf("after the crowd the only one was answered after %v", at)
		}
	})
}

func TestGatherLastsAtMostTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loader(t, &upstream{takes: 10 * time.Millisecond})
		defer l.Gather(50)()
		time.Sleep(3 * time.Millisecond)
		begun := time.Now()
		read(t.Context(), l, "1")
		if took := time.Since(begun); took != 10*time.Millisecond {
			t.Errorf("the only read waits for a crowd that did not come: %v", took)
		}
	})
}

func TestDifferentRequestsShareNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{takes: 10 * time.Millisecond}
		l := loader(t, u)
		defer l.Gather(2)()
		var all sync.WaitGroup
		for i, fields := range [][]string{
			{"Authorization", "a"}, {"Authorization", "b"}, {"Accept-Language", "de"}, {}, {"User-Agent", "x", "Traceparent", "y", "X-Forwarded-For", "::1"}, {"X-Forwarded-Host", "a"},
		} {
			all.Go(func() { read(t.Context(), l, fmt.Sprint(i+1), fields...) })
			synctest.Wait()
		}
		all.Wait()
		calls := u.calls()
		slices.Sort(calls)
		if !slices.Equal(calls, []string{"1", "2", "3", "4,5", "6"}) {
			t.Errorf("calls %q", calls)
		}
		for _, req := range u.seen {
			if h := req.Header; h.Get("User-Agent") != "" || h.Get("X-Forwarded-For") != "" || h.Get("Accept-Encoding") != "identity" {
				t.Errorf("the upstream was sent %v", h)
			}
		}
	})
}

func TestMissing(t *testing.T) {
	for _, tt := range []struct{ control, want string }{{"max-age=60", ""}, {"private, max-age=60", "private, max-age=60"}, {"No-Store", "No-Store"}} {
		u := &upstream{answer: func([]string) (*http.Response, error) {
			return response(200, `{"data":[{"id":"1"}]}`, "Cache-Control", tt.control, "Expires", "0"), nil
		}}
		got := read(t.Context(), loader(t, u), "2")
		if got.status != 404 || got.header.Get("Cache-Control") != tt.want || got.header.Get("Expires") != "" {
			t.Errorf("%s: %+v", tt.control, got)
		}
	}
}

func TestCookiesAreNotShared(t *testing.T) {
	u := &upstream{answer: func([]string) (*http.Response, error) {
		return response(200, `{"data":[{"id":"1"}]}`, "Set-Cookie", "a=b"), nil
	}}
	got := read(t.Context(), loader(t, u), "1")
	if got.header.Get("Set-Cookie") != "" || got.header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("%+v", got)
	}
	got = read(t.Context(), loader(t, u, func(c *Config) { c.IgnoreCookies = true }), "1")
	if got.header.Get("Set-Cookie") != "" || got.header.Get("Cache-Control") != "max-age=60" {
		t.Errorf("ignored: %+v", got)
	}
}

func TestFailedCallIsRetriedOneByOne(t *testing.T) {
	down := errors.New("down")
	for _, tt := range []struct {
		name   string
		answer func(ids []string) (*http.Response, error)
		status []int
		calls  int
	}{
		{"as a whole", func(ids []string) (*http.Response, error) {
			if len(ids) > 1 {
				return response(500, "no"), nil
			}
			return elements(ids...)
		}, []int{200, 200, 200}, 4},
		{"one of them", func(ids []string) (*http.Response, error) {
			if slices.Contains(ids, "2") {
				return response(418, "teapot"), nil
			}
			return elements(ids...)
		}, []int{200, 418, 200}, 4},
		{"not JSON", func(ids []string) (*http.Response, error) { return response(200, "<p>"), nil }, []int{0, 0, 0}, 4},
		{"no array", func(ids []string) (*http.Response, error) { return response(200, `{"data":1}`), nil }, []int{0, 0, 0}, 4},
		{"too large", func(ids []string) (*http.Response, error) {
			return response(200, `{"data":[]}`+strings.Repeat(" ", 1<<20)), nil
		}, []int{0, 0, 0}, 4},
		{"no connection", func([]string) (*http.Response, error) { return nil, down }, []int{0, 0, 0}, 4},
		{"the upstream wants to be left alone", func([]string) (*http.Response, error) { return response(503, ""), nil }, []int{503, 503, 503}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &upstream{answer: tt.answer}
				l := loader(t, u)
				defer l.Gather(3)()
				for i, got := range reads(t, l, "1", "2", "3") {
					if got.status != tt.status[i] || (got.err != nil) != (tt.status[i] == 0) {
						t.Errorf("read %d: %+v", i, got)
					}
				}
				if calls := u.calls(); len(calls) != tt.calls {
					t.Errorf("calls %q", calls)
				}
			})
		})
	}
}

func TestCallEndsWithItsLastMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{takes: time.Hour}
		l := loader(t, u)
		first, leaveFirst := context.WithCancel(t.Context())
		second, leaveSecond := context.WithCancel(t.Context())
		done := l.Gather(2)
		defer done()
		var all sync.WaitGroup
		all.Go(func() { read(first, l, "1") })
		all.Go(func() { read(second, l, "1") })
		time.Sleep(time.Second)
		leaveFirst()
		synctest.Wait()
		if err := u.seen[0].Context().Err(); err != nil {
			t.Errorf("the call ended with its first member: %v", err)
		}
		leaveSecond()
		all.Wait()
		if err := u.seen[0].Context().Err(); err == nil {
			t.Error("the call goes on, although no request waits for it")
		}
		gone, leave := context.WithCancel(t.Context())
		defer l.Gather(2)()
		all.Go(func() { read(gone, l, "2") })
		synctest.Wait()
		leave()
		all.Wait()
		time.Sleep(time.Second)
		if calls := u.calls(); len(calls) != 1 || len(l.groups) != 0 {
			t.Errorf("calls %q, %d groups", calls, len(l.groups))
		}
	})
}

func TestLongURLsAreSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{takes: time.Millisecond, answer: func([]string) (*http.Response, error) { return response(200, `{"data":[]}`), nil }}
		l := loader(t, u)
		defer l.Gather(30)()
		var ids []string
		for i := range 30 {
			ids = append(ids, strings.Repeat("x", 500)+fmt.Sprint(i))
		}
		reads(t, l, ids...)
		for _, req := range u.seen {
			if n := len(req.URL.RequestURI()); n > maxURL {
				t.Errorf("a URL of %d bytes", n)
			}
		}
		if n := len(u.calls()); n < 3 || n > 6 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestMethodsAndIDs(t *testing.T) {
	u := &upstream{}
	l := loader(t, u)
	for _, tt := range []struct {
		method, id string
		status     int
	}{{"POST", "1", 405}, {"GET", "", 400}, {"GET", "a\r\nb", 400}, {"GET", "\xff", 400}, {"HEAD", "1", 200}} {
		resp, err := l.RoundTrip(&http.Request{Method: tt.method, URL: &url.URL{Path: "/api/items/" + tt.id}, Header: http.Header{}})
		if err != nil || resp.StatusCode != tt.status {
			t.Errorf("%s %q: %v %v", tt.method, tt.id, resp, err)
			continue
		}
		if body, _ := io.ReadAll(resp.Body); len(body) != 0 || tt.method == "HEAD" && resp.ContentLength != 18 {
			t.Errorf("%s: %q, length %d", tt.method, body, resp.ContentLength)
		}
	}
	if len(u.calls()) != 1 {
		t.Errorf("calls %q", u.calls())
	}
}

// TestSplitAndEscapeProperty checks that each id gets its own element unchanged, and that the query
// has only one parameter, for any ids.
func TestSplitAndEscapeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[ -~äé€,&=#?/%+]{1,12}`), 1, 20, rapid.ID[string]).Draw(t, "ids")
		var slots []*slot
		var items []string
		want := map[string]string{}
		for _, id := range ids {
			slots = append(slots, &slot{id: id, escaped: url.QueryEscape(id)})
			quoted, err := json.Marshal(id)
			if err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "there") {
				want[id] = fmt.Sprintf(`{"n": %s , "id":%s}`, rapid.StringMatching(`-?[1-9][0-9]{0,30}(\.[0-9]{1,20})?`).Draw(t, "n"), quoted)
				items = append(items, " "+want[id]+"\n")
			}
		}
		var asked *http.Request
		l := &Loader{Config: Config{MaxBody: 1 << 20}}
		l.Items, _ = rawjson.ParsePath("data")
		l.Key, _ = rawjson.ParsePath("id")
		l.Origin = roundTrip(func(req *http.Request) (*http.Response, error) {
			asked = req
			return response(200, `{"data":[`+strings.Join(items, ",")+`]}`), nil
		})
		w := l.fetch(t.Context(), &group{asked: &asked0}, slots)
		if w.err != nil {
			t.Fatal(w.err)
		}
		query, err := url.ParseQuery(asked.URL.RawQuery)
		if err != nil || len(query) != 1 || len(query["ids"]) != 1 || asked.URL.Path != "/items" || asked.URL.Fragment != "" {
			t.Fatalf("asked for %s: %v", asked.URL, err)
		}
		for i, part := range strings.Split(strings.TrimPrefix(asked.URL.RawQuery, "ids="), ",") {
			if id, err := url.QueryUnescape(part); err != nil || id != ids[i] {
				t.Fatalf("id %d is asked for as %q, not %q", i, part, ids[i])
			}
		}
		if len(w.elements) != len(want) {
			t.Fatalf("%d elements, not %d", len(w.elements), len(want))
		}
		for id, text := range want {
			if string(w.elements[id]) != text {
				t.Fatalf("%q has %s, not %s", id, w.elements[id], text)
			}
		}
	})
}

var asked0 = asked{before: "/items?ids=", header: http.Header{}}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestTemplates(t *testing.T) {
	capture := func(name string) (string, bool) {
		v, ok := map[string]string{"shop": "a/b?c&d", "hidden": "a/../b", "dots": "..", "empty": ""}[name]
		return v, ok
	}
	for _, tt := range []struct{ in, want string }{
		{"/items?ids={ids}", "/items?ids=1,2"},
		{"/items?ids={ids}&x=1", "/items?ids=1,2&x=1"},
		{"/s/{shop}/items?s={shop}&ids={ids}", "/s/a%2Fb%3Fc&d/items?s=a%2Fb%3Fc%26d&ids=1,2"},
		{"/s/{dots}/items?ids={ids}", ""}, {"/s/{hidden}/items?ids={ids}", ""}, {"/s/{empty}?ids={ids}", ""}, {"/s/{none}?ids={ids}", ""},
		{"/items/{ids}", ""}, {"/items", ""}, {"/items?a={ids}&b={ids}", ""}, {"items?ids={ids}", ""}, {"/items?ids={ids", ""}, {"/items?x={}&ids={ids}", ""},
	} {
		got := ""
		if p, err := parseTemplate(tt.in); err == nil {
			if before, after, err := p.expand(capture); err == nil {
				u, err := target(before, []string{"1", "2"}, after)
				if err != nil {
					t.Fatal(err)
				}
				got = u.RequestURI()
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, not %q", tt.in, got, tt.want)
		}
	}
}

func TestKeysAreUnique(t *testing.T) {
	seen := map[string]int{}
	for i, a := range []asked{
		{host: "a", before: "b"}, {host: "ab"}, {before: "ab"}, {host: "a", after: "b"},
		{header: http.Header{"A": {"b", "c"}}}, {header: http.Header{"A": {"b"}, "C": {}}}, {header: http.Header{"A": {"b,c"}}}, {header: http.Header{"A": {"bc"}}}, {header: http.Header{"A": {"c", "b"}}},
	} {
		if j, ok := seen[a.groupKey()]; ok {
			t.Errorf("%d and %d have one key", i, j)
		}
		seen[a.groupKey()] = i
	}
}

// TestManyClientsFewIDs makes 10 000 reads of 200 ids by 100 clients. All must be correct, with few
// calls.
func TestManyClientsFewIDs(t *testing.T) {
	u := &upstream{takes: 2 * time.Millisecond}
	l := loader(t, u)
	var all sync.WaitGroup
	for client := range 100 {
		all.Go(func() {
			for i := range 100 {
				id := fmt.Sprint((client*37 + i*11) % 200)
				if got := read(t.Context(), l, id); got.body != `{"id":`+id+`, "n":1.50}` {
					t.Errorf("%s: %+v", id, got)
					return
				}
			}
		})
	}
	all.Wait()
	if n := len(u.calls()); n > 5000 {
		t.Errorf("%d calls for 10 000 reads", n)
	} else {
		t.Logf("%d calls for 10 000 reads", n)
	}
}
