package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/store"
)

// notebook is a purger that notes what it is asked for.
type notebook struct {
	purges []store.Purge
	waits  []time.Duration
	report store.Report
	err    error
}

func (n *notebook) Purge(_ context.Context, p store.Purge, wait time.Duration) (store.Report, error) {
	n.purges, n.waits = append(n.purges, p), append(n.waits, wait)
	return n.report, n.err
}

func purgeRouter(t *testing.T) *route.Router {
	t.Helper()
	rt, err := route.New([]*route.Route{
		{Name: "plain", Path: "/*", KeyQuery: (&cachepolicy.Rules{Route: "plain"}).KeyQuery},
		{Name: "shop", Host: "shop.test", Path: "/p/*", KeyQuery: (&cachepolicy.Rules{Route: "shop", QueryExclude: []string{"utm_*"}, QuerySort: true}).KeyQuery},
		{Name: "post", Host: "shop.test", Path: "/p/*", Methods: []string{"POST"}, KeyQuery: (&cachepolicy.Rules{Route: "post", QueryInclude: []string{"id"}}).KeyQuery},
		{Name: "wild", Host: "*.wild.test", Path: "/*", KeyQuery: (&cachepolicy.Rules{Route: "wild", QueryInclude: []string{}}).KeyQuery},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func newPurgeAPI(t *testing.T, n *notebook, stored ...*store.Object) *purgeAPI {
	rt := purgeRouter(t)
	return &purgeAPI{Purges{
		Purger: n, Router: func() *route.Router { return rt }, Stored: slices.Values(stored), Now: time.Now,
		Fate: func(_ cachepolicy.Key, e *store.Entry) (store.Fate, time.Time) {
			if slices.Contains(e.Tags, "dead") {
				return store.Hard, time.Time{}
			}
			return store.Alive, time.Time{}
		},
	}}
}

func askPurge(t *testing.T, a http.Handler, body string) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest("POST", "/purge", strings.NewReader(body)))
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s: %v in %q", body, err, w.Body)
	}
	return w.Code, answer
}

func TestPurgeTargets(t *testing.T) {
	for _, c := range []struct {
		body string
		want []string
	}{
		{`{"all": true}`, []string{"all"}},
		{`{"tag": "a"}`, []string{"tag a"}},
		{`{"tag": ["a", "b", "a"]}`, []string{"tag a", "tag b"}},
		{`{"route": "shop"}`, []string{"route shop"}},
		{`{"route": ["plain", "wild"], "tag": "x"}`, []string{"tag x", "route plain", "route wild"}},
		{`{"host": "Example.COM."}`, []string{"host example.com"}},
		{`{"host": "example.com:443"}`, []string{"host example.com", "host example.com:443"}},
		{`{"host": ["a.test", "[2001:DB8::1]:8443"]}`, []string{"host a.test", "host [2001:db8::1]:8443"}},

		{`{"prefix": "/a/b"}`, []string{"prefix /a/b"}},
		{`{"prefix": "/"}`, []string{"prefix /"}},
		{`{"prefix": "/a/../%62/"}`, []string{"prefix /b/"}},
		{`{"prefix": "Example.com/a"}`, []string{"prefix example.com/a"}},
		{`{"prefix": "http://example.com:80/a"}`, []string{"prefix example.com/a"}},
		{`{"prefix": "/a", "host": "example.com"}`, []string{"prefix example.com/a"}},
		{`{"prefix": "example.com:8443"}`, []string{"prefix example.com:8443/"}},

		{`{"url": "https://other.test/a?x=1"}`, []string{"url other.test/a?x=1"}},
		{`{"url": "http://Other.test:80//a/./b%7e#top"}`, []string{"url other.test//a/b~", "url other.test/a/b~"}},
		{`{"url": "https://other.test"}`, []string{"url other.test/"}},
		{`{"url": "/a?b", "host": "other.test:443"}`, []string{"url other.test/a?b", "url other.test:443/a?b"}},
		{`{"url": ["https://a.test/", "/b"], "host": "c.test"}`, []string{"url a.test/", "url c.test/b"}},
		// Both the route's key and that of the route for POST, whose answers are stored for GET.
		{`{"url": "https://shop.test/p/1?utm_source=x&id=2&b=1"}`, []string{
			"url shop.test/p/1?b=1&id=2", "url shop.test/p/1?id=2", "url shop.test/p/1?utm_source=x&id=2&b=1",
		}},
		{`{"url": "https://x.wild.test/p?q"}`, []string{"url x.wild.test/p", "url x.wild.test/p?q"}},
	} {
		n := &notebook{report: store.Report{Instances: 1, Applied: 1}}
		code, answer := askPurge(t, newPurgeAPI(t, n), c.body)
		if code != http.StatusOK || len(n.purges) != 1 {
			t.Errorf("%s: %d %v", c.body, code, answer)
			continue
		}
		got := labels(n.purges[0].Targets)
		if strings.Contains(c.body, `"url"`) {
			slices.Sort(got) // routes of one path come in no order
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: targets %q, want %q", c.body, got, c.want)
		}
		if n.purges[0].Soft || n.waits[0] != 0 || n.purges[0].At.IsZero() {
			t.Errorf("%s: %+v, wait %v", c.body, n.purges[0], n.waits[0])
		}
	}
}

func TestPurgeRefuses(t *testing.T) {
	many := `"` + strings.Repeat(`x","`, 0) + `t0"`
	for i := range maxPurgeTargets {
		many += fmt.Sprintf(`,"t%d"`, i+1)
	}
	for _, c := range []struct{ body, want string }{
		{``, "JSON"},
		{`null`, "JSON object"},
		{`[]`, "JSON"},
		{`{"tag":"a"} {}`, "one JSON object"},
		{`{"tgas": "a"}`, "tgas"},
		{`{"tag": 5}`, "JSON"},
		{`{"tag": null, "all": "yes"}`, "JSON"},
		{`{}`, "nothing to purge is named"},
		{`{"soft": true}`, "nothing to purge is named"},
		{`{"tag": []}`, "nothing to purge is named"},
		{`{"all": true, "tag": "a"}`, "all:"},
		{`{"tag": ""}`, "tag:"},
		{`{"tag": "a b"}`, "list"},
		{`{"tag": "` + strings.Repeat("x", 1025) + `"}`, "1024"},
		{`{"tag": [` + many + `]}`, "1001 targets"},
		{`{"route": "nobody"}`, "no route of this name"},
		{`{"host": "a b"}`, "host:"},
		{`{"host": "exämple.com"}`, "ASCII"},
		{`{"host": "http://a.test"}`, "host:"},
		{`{"prefix": "/a/*"}`, "no pattern"},
		{`{"prefix": "/a?b"}`, "no query"},
		{`{"prefix": "ftp://a.test/"}`, "http"},
		{`{"prefix": ""}`, "prefix:"},
		{`{"url": "/a"}`, "host"},
		{`{"url": "example.com/a"}`, "https://"},
		{`{"url": "ftp://example.com/a"}`, "http"},
		{`{"url": "https://u:p@example.com/a"}`, "user name"},
		{`{"url": "https://example.com/a b"}`, "escaped"},
		{`{"url": "https://example.com/%"}`, "url:"},
		{`{"url": "/a\\b", "host": "a.test"}`, "url:"},
		{`{"url": "/a", "host": ["a.test", "b.test"]}`, "one host"},
		{`{"tag": "a", "wait": "soon"}`, "wait:"},
		{`{"tag": "a", "wait": "-1s"}`, "wait:"},
		{`{"tag": "a", "wait": "2h"}`, "wait:"},
		{`{"tag": ["", "a b"], "host": "a b"}`, "host:"},
	} {
		n := &notebook{}
		code, answer := askPurge(t, newPurgeAPI(t, n), c.body)
		said := fmt.Sprint(answer["errors"])
		if code != http.StatusBadRequest || len(n.purges) > 0 || !strings.Contains(said, c.want) || answer["status"] != nothingPurged {
			t.Errorf("%.100s: %d, %q; want it to say %q", c.body, code, said, c.want)
		}
	}
	if code, _ := askPurge(t, newPurgeAPI(t, &notebook{}), `{"tag": "`+strings.Repeat("x", maxPurgeBody)+`"}`); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large request: %d", code)
	}
}

func TestPurgeAnswers(t *testing.T) {
	epoch := store.FleetEpoch(0xabc, 17)
	for _, c := range []struct {
		name   string
		report store.Report
		err    error
		code   int
		want   map[string]any
	}{
		{
			"by all", store.Report{Epoch: epoch, Instances: 3, Applied: 3, Took: 1500 * time.Microsecond}, nil, http.StatusOK,
			map[string]any{"status": "purged", "epoch": "abc-17", "instances": 3., "applied": 3., "missing": []any{}, "took_ms": 1.5},
		},
		{
			"not by all", store.Report{Epoch: epoch, Instances: 3, Applied: 2, Missing: []string{"c"}, Took: 2 * time.Second}, nil, http.StatusAccepted,
			map[string]any{
				"status": "purged, but not yet acknowledged by all", "epoch": "abc-17",
				"instances": 3., "applied": 2., "missing": []any{"c"}, "took_ms": 2000.,
			},
		},
		{
			"alone", store.Report{Epoch: epoch, Instances: 1, Applied: 1}, fmt.Errorf("%w: no Redis", store.ErrUnreached), http.StatusServiceUnavailable,
			map[string]any{
				"status": "purged on this instance alone", "epoch": "abc-17", "instances": 1., "applied": 1., "missing": []any{}, "took_ms": 0.,
				"errors": []any{store.ErrUnreached.Error() + ": no Redis"},
			},
		},
		{"failed", store.Report{}, errors.New("broken"), http.StatusInternalServerError, map[string]any{"status": nothingPurged, "errors": []any{"broken"}}},
	} {
		n := &notebook{report: c.report, err: c.err}
		code, answer := askPurge(t, newPurgeAPI(t, n), `{"tag": "x", "soft": true, "wait": "3s"}`)
		if c.err == nil || errors.Is(c.err, store.ErrUnreached) {
			c.want["soft"], c.want["targets"] = true, []any{"tag x"}
		}
		if code != c.code || !cmp.Equal(answer, c.want) {
			t.Errorf("%s: %d\n%s", c.name, code, cmp.Diff(c.want, answer))
		}
		if !n.purges[0].Soft || n.waits[0] != 3*time.Second {
			t.Errorf("%s: %+v, wait %v", c.name, n.purges, n.waits)
		}
	}
}

func storedAt(url string, tags ...[]string) *store.Object {
	host, path, _ := strings.Cut(strings.TrimPrefix(url, "https://"), "/")
	path, query, _ := strings.Cut("/"+path, "?")
	rules := &cachepolicy.Rules{Route: "plain"}
	k, _ := rules.Key(&cachepolicy.Request{Method: "GET", Scheme: "https", Host: host, Path: path, RawQuery: query})
	o := &store.Object{Key: k}
	for _, t := range tags {
		o.Variants = append(o.Variants, &store.Entry{Tags: t, Representations: []store.Representation{{Body: store.Body{Size: 10}}, {Body: store.Body{Size: 4}}}})
	}
	return o
}

func TestPurgeDryRun(t *testing.T) {
	stored := []*store.Object{
		storedAt("https://a.test/x", []string{"t"}, []string{"u"}),
		storedAt("https://a.test/x?q", nil),
		storedAt("https://b.test/x", []string{"t", "dead"}),
		storedAt("https://b.test/y", []string{"t"}),
	}
	for _, c := range []struct {
		body               string
		objects, responses float64
	}{
		{`{"all": true, "dry_run": true}`, 3, 4},
		{`{"host": "a.test", "dry_run": true}`, 2, 3},
		{`{"tag": "t", "dry_run": true, "soft": true}`, 2, 2},
		{`{"url": "http://a.test/x", "dry_run": true}`, 1, 2},
		{`{"prefix": "/x", "dry_run": true}`, 2, 3},
		{`{"prefix": "/z", "dry_run": true}`, 0, 0},
	} {
		n := &notebook{}
		code, answer := askPurge(t, newPurgeAPI(t, n, stored...), c.body)
		if code != http.StatusOK || answer["objects"] != c.objects || answer["responses"] != c.responses || answer["bytes"] != c.responses*14 {
			t.Errorf("%s: %d %v, want %v objects, %v responses", c.body, code, answer, c.objects, c.responses)
		}
		if len(n.purges) > 0 || !strings.Contains(fmt.Sprint(answer["note"]), "this instance's memory") {
			t.Errorf("%s: %v, %d purges", c.body, answer, len(n.purges))
		}
	}
}
