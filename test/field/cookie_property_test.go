package field

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/redistest"
)

// profile is what an origin says of one of its pages until it changes.
type profile struct {
	status       int
	fields       http.Header
	expires, tag string
	chunked      bool
}

var cacheControls = []string{
	"", "", "", "max-age=20", "max-age=20", "s-maxage=20", "public", "public", "public, max-age=20", "Public, Max-Age=20", "max-age=0", "s-maxage=0, max-age=20", "max-age=0, s-maxage=20",
	"max-age=junk", "no-cache", "no-store", "private", "private, max-age=20", "no-cache, max-age=20", "public, no-cache", "immutable", "must-revalidate", "max-age=20, must-revalidate",
	"stale-while-revalidate=60", "max-age=10, stale-while-revalidate=60, stale-if-error=600", "s-maxage=10, stale-while-revalidate=60", "stale-if-error=600", "proxy-revalidate",
	`max-age=20, private="X-Page"`, `max-age=20, no-cache="X-Page"`, `max-age=20, no-cache="Set-Cookie"`, "max-age=20, public, x=\"a,b\"", "public, max-age=0, stale-while-revalidate=60",
}

// drawProfile draws a profile. Left to chance alone, most responses would be for one user, so one in two is plainly for all.
func drawProfile(t *rapid.T) *profile {
	if rapid.Bool().Draw(t, "for all") {
		control := rapid.SampledFrom([]string{"max-age=30", "public, max-age=10, stale-while-revalidate=60", "s-maxage=30", "max-age=10, stale-if-error=600"}).Draw(t, "Cache-Control")
		return &profile{status: http.StatusOK, fields: http.Header{"Cache-Control": {control}}, tag: rapid.SampledFrom([]string{"", "serial", "same"}).Draw(t, "ETag"), chunked: rapid.Bool().Draw(t, "chunked")}
	}
	p := &profile{
		status:  rapid.SampledFrom([]int{200, 200, 200, 200, 200, 200, 404, 301, 410, 500, 503, 202, 403}).Draw(t, "status"),
		fields:  http.Header{},
		expires: rapid.SampledFrom([]string{"", "", "", "future", "past", "0", "junk"}).Draw(t, "Expires"),
		tag:     rapid.SampledFrom([]string{"", "serial", "owner", "same", "weak"}).Draw(t, "ETag"),
		chunked: rapid.Bool().Draw(t, "chunked"),
	}
	set := func(name string, values ...string) {
		if v := rapid.SampledFrom(values).Draw(t, name); v != "" {
			p.fields[name] = []string{v}
		}
	}
	set("Cache-Control", cacheControls...)
	set("Cdn-Cache-Control", "", "", "", "", "", "max-age=20", "max-age=0", "no-store", "public", brokenTarget)
	set("Age", "", "", "", "5", "100")
	set("Vary", "", "", "", "", "Cookie", "Accept-Language", "X-Other, Cookie", "*")
	set("Set-Cookie", "", "", "", "theirs")
	set("Surrogate-Key", "", "", "group")
	set("Last-Modified", "", "", "Wed, 01 Jan 2020 00:00:00 GMT")
	return p
}

// personalOrigin makes each response for the user whose cookies the request has, and knows afterwards which was whose.
type personalOrigin struct {
	*httptest.Server
	mu       sync.Mutex
	pages    map[string]*page // by serial
	serial   int
	profiles map[string]*profile // by path
	trouble  string
	gate     *gatewaytest.Gate // nil: open
	now      func() time.Time
	held     atomic.Int64
}

// serve answers one request. The mark [serial] stands everywhere in the content and in X-Page, so that any piece of a response tells whose it is.
func (o *personalOrigin) serve(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	gate, trouble, p := o.gate, o.trouble, o.profiles[r.URL.Path]
	o.mu.Unlock()
	if gate != nil {
		o.held.Add(1)
		defer o.held.Add(-1)
		gate.Wait()
	}
	switch {
	case trouble == "broken":
		broken(w, r)
		return
	case trouble == "error" || p == nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h := w.Header()
	h["Date"] = nil // the time is the gateways' to say
	maps.Copy(h, p.fields.Clone())
	now := o.now().UTC()
	switch p.expires {
	case "future":
		h.Set("Expires", now.Add(30*time.Second).Format(http.TimeFormat))
	case "past":
		h.Set("Expires", now.Add(-time.Second).Format(http.TimeFormat))
	case "0", "junk":
		h.Set("Expires", p.expires)
	}
	mark := o.note(r, p.status, h)
	if tag := p.tagFor(r, mark); tag != "" {
		h.Set("Etag", tag)
		o.tagged(r, mark, tag, h)
	}
	h.Set("X-Page", mark)
	if h.Get("Set-Cookie") != "" {
		h.Set("Set-Cookie", "mine="+mark)
	}
	h.Set("Content-Type", "application/json")
	o.send(w, r, p, mark)
}

// tagFor is the tag of the response to r that has the mark.
func (p *profile) tagFor(r *http.Request, mark string) string {
	switch p.tag {
	case "serial":
		return strconv.Quote(mark)
	case "owner":
		return fmt.Sprintf(`"%x"`, r.Header.Get("Cookie"))
	case "same":
		return `"same"`
	case "weak":
		return `W/"same"`
	}
	return ""
}

// tagged takes down the tag of a response. What it confirms is of the same path and has the same tag, or the weak form of it.
func (o *personalOrigin) tagged(r *http.Request, mark, tag string, h http.Header) {
	o.mu.Lock()
	defer o.mu.Unlock()
	tag = strings.TrimPrefix(tag, "W/")
	o.pages[mark].path, o.pages[mark].tag = r.URL.Path, tag
	if r.Method != http.MethodHead && r.Header.Get("If-None-Match") == "" {
		return
	}
	for _, p := range o.pages {
		if p.path == r.URL.Path && p.tag == tag {
			p.confirm(h)
		}
	}
}

// note takes down a response, and gives it its mark.
func (o *personalOrigin) note(r *http.Request, status int, h http.Header) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.serial++
	mark := fmt.Sprintf("[%06d]", o.serial)
	o.pages[mark] = &page{cookie: r.Header.Get("Cookie"), part: r.URL.Query().Get("part"), status: status, header: h.Clone(), created: o.now()}
	return mark
}

func (o *personalOrigin) send(w http.ResponseWriter, r *http.Request, p *profile, mark string) {
	body := `{"next": "n", "items": ["` + strings.Repeat(mark, 128) + `"]}`
	if p.status == http.StatusOK && !p.chunked { // with ranges and conditions
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(body))
		return
	}
	if tag := w.Header().Get("Etag"); tag != "" && r.Header.Get("If-None-Match") == tag && p.status == http.StatusOK {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.WriteHeader(p.status)
	half := len(body) / 2
	_, _ = io.WriteString(w, body[:half])
	if p.chunked {
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = io.WriteString(w, body[half:])
}

// sharingBench is one case: gateways, and the routes that they have had.
type sharingBench struct {
	*rapid.T
	tb       testing.TB
	o        *personalOrigin
	gateways []*gatewaytest.Gateway
	routes   []sharingRoute
	yaml     func(r *sharingRoute) string
	tally    *tally
}

// tally shows whether the test tests anything.
type tally struct{ cases, answers, own, shared, hits atomic.Int64 }

// caseTB lets the harness fail a case of a property, and clean up after it.
type caseTB struct {
	testing.TB
	rt *rapid.T
}

func (c caseTB) Cleanup(f func())                  { c.rt.Cleanup(f) }
func (c caseTB) Fatalf(format string, args ...any) { c.rt.Fatalf(format, args...) }
func (c caseTB) Errorf(format string, args ...any) { c.rt.Errorf(format, args...) }
func (c caseTB) Fatal(args ...any)                 { c.rt.Fatal(args...) }
func (c caseTB) Error(args ...any)                 { c.rt.Error(args...) }

// TestResponsesReachOtherUsersOnlyIfDeclaredReusable holds the rule for sharing against random origins, routes and users: a response to a request
// with a cookie reaches a client with another cookie only if its own fields, or a cache_control rule, declare it reusable. For a long run:
// RAPID_CHECKS=5000 go test -run OnlyIfDeclaredReusable -timeout 1h ./test/field
func TestResponsesReachOtherUsersOnlyIfDeclaredReusable(t *testing.T) {
	o := &personalOrigin{}
	o.Server = httptest.NewServer(http.HandlerFunc(o.serve))
	t.Cleanup(o.Close)
	redis := redistest.Start(t)
	for _, kind := range []string{"plain", "pages", "aggregate"} {
		for instances := 1; instances <= 2; instances++ {
			t.Run(fmt.Sprintf("%s, %d instances", kind, instances), func(t *testing.T) {
				count := new(tally)
				rapid.Check(t, func(rt *rapid.T) {
					if n := count.cases.Load(); n >= int64(fewCases/instances) && os.Getenv("RAPID_CHECKS") == "" {
						return
					}
					count.cases.Add(1)
					b := newSharingBench(rt, t, o, redis, count, kind, instances)
					for range rapid.IntRange(3, 14).Draw(rt, "steps") {
						b.step()
					}
				})
				count.report(t)
			})
		}
	}
}

// fewCases is how many cases with one instance the quick run has. Two take twice the time.
const fewCases = 60

// report fails the test if hardly anything was shared: then it tests nothing.
func (c *tally) report(t *testing.T) {
	t.Logf("%d cases, %d answers: %d to their own users, %d shared, %d hits", c.cases.Load(), c.answers.Load(), c.own.Load(), c.shared.Load(), c.hits.Load())
	if !t.Failed() && c.shared.Load() < c.cases.Load()/4 {
		t.Error("hardly anything was shared")
	}
}

var sharingCases atomic.Int64

func newSharingBench(rt *rapid.T, t *testing.T, o *personalOrigin, redis *redistest.Server, count *tally, kind string, instances int) *sharingBench {
	b := &sharingBench{T: rt, tb: caseTB{t, rt}, o: o, tally: count}
	name, top := fmt.Sprintf("case%d", sharingCases.Add(1)), "cache: {memory: {size: 4MiB, max_object: 64KiB}}\n"
	if instances > 1 {
		top = fmt.Sprintf("cache: {memory: {size: 4MiB, max_object: 64KiB}, redis: {url: %q, prefix: %q, timeout: 5s}}\n", redis.URL(), name)
	}
	top += "upstreams: {origin: {targets: [" + o.URL + "]}}\nroutes:\n"
	b.yaml = func(r *sharingRoute) string { return top + r.yaml(name) }
	b.routes = []sharingRoute{drawRoute(rt, kind)}
	for range instances {
		g := gatewaytest.Start(b.tb, b.yaml(&b.routes[0]))
		g.Preload(context.Background())
		b.gateways = append(b.gateways, g)
	}
	o.mu.Lock()
	o.pages, o.profiles, o.trouble, o.gate, o.now = map[string]*page{}, map[string]*profile{"/a": drawProfile(rt), "/b": drawProfile(rt)}, "", nil, b.gateways[0].Clock.Now
	o.mu.Unlock()
	return b
}

// step does one thing: most often it asks.
func (b *sharingBench) step() {
	switch rapid.SampledFrom([]string{"ask", "ask", "ask", "ask", "together", "together", "time", "time", "change", "trouble", "reload", "purge"}).Draw(b.T, "step") {
	case "ask":
		b.check(b.draw().send())
	case "together":
		b.together()
	case "time":
		d := time.Duration(rapid.SampledFrom([]int{1, 5, 21, 41, 100}).Draw(b.T, "seconds")) * time.Second
		for _, g := range b.gateways {
			g.Clock.Advance(d)
		}
	case "change":
		path, p := rapid.SampledFrom([]string{"/a", "/b"}).Draw(b.T, "path"), drawProfile(b.T)
		b.o.mu.Lock()
		b.o.profiles[path] = p
		b.o.mu.Unlock()
	case "trouble":
		trouble := rapid.SampledFrom([]string{"", "broken", "error"}).Draw(b.T, "trouble")
		b.o.mu.Lock()
		b.o.trouble = trouble
		b.o.mu.Unlock()
	case "reload":
		b.reload()
	case "purge":
		g := b.gateways[rapid.IntRange(0, len(b.gateways)-1).Draw(b.T, "gateway")]
		if status, body := adminPost(b.tb, g, "/purge", `{"all": true, "soft": true}`); status != http.StatusOK {
			b.Fatalf("purging: %d %s", status, body)
		}
	}
}

// reload gives all gateways other settings.
func (b *sharingBench) reload() {
	r := drawRoute(b.T, b.routes[0].kind)
	cfg, err := config.Parse("gateway.yaml", []byte("version: 1\n"+b.yaml(&r)), os.LookupEnv, os.ReadFile)
	if err != nil {
		b.Fatalf("%v\n%s", err, b.yaml(&r))
	}
	for _, g := range b.gateways {
		if err := g.Apply(cfg); err != nil {
			b.Fatal(err)
		}
	}
	b.routes = append(b.routes, r)
}

// asked is a request of a user, and its answer.
type asked struct {
	g            *gatewaytest.Gateway
	method, path string
	cookie       string
	fields       []string
	answer       *gatewaytest.Response
}

func (b *sharingBench) draw() *asked {
	a := &asked{
		g:      b.gateways[rapid.IntRange(0, len(b.gateways)-1).Draw(b.T, "gateway")],
		method: rapid.SampledFrom([]string{"GET", "GET", "GET", "GET", "HEAD"}).Draw(b.T, "method"),
		path:   rapid.SampledFrom([]string{"/a", "/a", "/b"}).Draw(b.T, "path"),
		cookie: rapid.SampledFrom([]string{"", "session=alice", "session=bob", "session=alice; theme=dark", "theme=dark", "session=carol"}).Draw(b.T, "cookie"),
	}
	a.fields = []string{"Host", "shop.test"} // the Host is in the key, and the instances have different addresses
	if a.cookie != "" {
		a.fields = append(a.fields, "Cookie", a.cookie)
	}
	if further := rapid.SampledFrom([][]string{
		nil, nil, nil, nil, {"Range", "bytes=0-499"}, {"Range", "bytes=300-"}, {"Cache-Control", "max-stale"}, {"Cache-Control", "no-cache"},
		{"Cache-Control", "only-if-cached"}, {"Cache-Control", "stale-if-error=600"}, {"If-None-Match", `"same"`}, {"Accept-Language", "de"}, {"If-Range", `"same"`, "Range", "bytes=0-99"},
	}).Draw(b.T, "fields"); further != nil {
		a.fields = append(a.fields, further...)
	}
	return a
}

func (a *asked) send() *asked {
	a.answer = a.g.Do(a.method, a.path, nil, a.fields...)
	return a
}

// together has several users ask at the same time: the origin answers when each of them waits somewhere, or has an answer.
func (b *sharingBench) together() {
	gate := gatewaytest.NewGate(b.tb)
	defer gate.Open()
	b.o.mu.Lock()
	b.o.gate = gate
	b.o.mu.Unlock()
	users, done := make([]*asked, rapid.IntRange(2, 5).Draw(b.T, "users")), make(chan *asked, 5)
	for i := range users {
		users[i] = b.draw()
	}
	for i, u := range users {
		go func() { done <- u.send() }()
		b.settle(i+1, done, users)
	}
	b.o.mu.Lock()
	b.o.gate = nil
	b.o.mu.Unlock()
	gate.Open()
	for range users {
		select {
		case u := <-done:
			b.check(u)
		case <-time.After(20 * time.Second):
			b.Fatalf("an answer is missing")
		}
	}
}

// settle waits until each of the first n users waits, at the origin or for another's call, or has been answered.
func (b *sharingBench) settle(n int, done chan *asked, users []*asked) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Microsecond) {
		waiting := int(b.o.held.Load()) + len(done)
		for _, g := range b.gateways {
			waiting += g.Waiting()
		}
		if waiting >= n {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("%d of %d requests are accounted for; the last is %s %s %v", waiting, n, users[n-1].method, users[n-1].path, users[n-1].fields)
		}
	}
}

var pageMark = regexp.MustCompile(`\[\d{6}\]`)

// check holds an answer against the rule.
func (b *sharingBench) check(a *asked) {
	if a.answer.Hit() {
		b.tally.hits.Add(1)
	}
	for _, name := range []string{"X-Page", "Set-Cookie"} {
		b.checkMarks(a, name, strings.Join(a.answer.Header[name], ","))
	}
	b.checkMarks(a, "", a.answer.Body)
}

func (b *sharingBench) checkMarks(a *asked, field, text string) {
	seen := map[string]bool{}
	for _, mark := range pageMark.FindAllString(text, -1) {
		if seen[mark] {
			continue
		}
		seen[mark] = true
		b.o.mu.Lock()
		p, why := b.o.pages[mark], ""
		if p != nil {
			why = p.mayReach(a.cookie, field, b.routes)
		}
		b.o.mu.Unlock()
		if p == nil {
			b.Fatalf("%s is of no page of this case", mark)
		}
		if why != "" {
			b.Fatalf("the response %s to %q, %d %v, reached %q in %q with %s %s %v, but %s; Cache-Status: %s\n%s", mark, p.cookie, p.status, p.header, a.cookie,
				field, a.method, a.path, a.fields, why, a.answer.Header["Cache-Status"], b.yaml(&b.routes[len(b.routes)-1]))
		}
		b.tally.answers.Add(1)
		if p.cookie == a.cookie {
			b.tally.own.Add(1)
		} else {
			b.tally.shared.Add(1)
		}
	}
}
