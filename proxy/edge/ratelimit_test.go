package edge

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/edge/rate"
	"github.com/penstock/penstock/proxy/observe"
)

// limitTest is a stage with one limit, and a clock that the test sets.
type limitTest struct {
	limit *RateLimit
	now   time.Time
	stage Stage
}

func newLimitTest(by RateKey, every time.Duration, burst int) *limitTest {
	l := &limitTest{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	l.limit = &RateLimit{
		Limit: rate.Limit{Every: every, Burst: burst}, By: by, Cells: rate.NewTable(l.now), Now: func() time.Time { return l.now }, Requests: 60, Window: time.Minute,
	}
	l.stage = RateLimitStage(l.limit)
	return l
}

// ask has the handler answer a request. It returns the response, and the Event.
func (l *limitTest) ask(ip string, header http.Header, charged bool) (*httptest.ResponseRecorder, *observe.Event) {
	ev := &observe.Event{Charged: charged}
	if ip != "" {
		ev.ClientIP = netip.MustParseAddr(ip)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = header
	w := httptest.NewRecorder()
	l.stage.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })).
		ServeHTTP(w, r.WithContext(observe.NewContext(r.Context(), ev)))
	return w, ev
}

func (l *limitTest) located(ip string, header http.Header) *Located {
	at := &Located{Fields: HeaderFields(header)}
	if ip != "" {
		at.Client = netip.MustParseAddr(ip)
	}
	return at
}

// TestClientsThatShareALimit: the first request uses the limit up, and the second gets 429 if it
// counts as one of the same client.
func TestClientsThatShareALimit(t *testing.T) {
	user := func(names ...string) http.Header { return http.Header{"X-User": names} }
	type request struct {
		ip     string
		header http.Header
	}
	for _, c := range []struct {
		name          string
		by            RateKey
		first, second request
		same          bool
	}{
		{"one address", RateByClientIP(), request{"192.0.2.1", nil}, request{"192.0.2.1", nil}, true},
		{"two addresses", RateByClientIP(), request{"192.0.2.1", nil}, request{"192.0.2.2", nil}, false},
		{"mapped", RateByClientIP(), request{"192.0.2.1", nil}, request{"::ffff:192.0.2.1", nil}, true},
		{"two mapped", RateByClientIP(), request{"::ffff:192.0.2.2", nil}, request{"::ffff:192.0.2.1", nil}, false},
		{"one network of IPv6", RateByClientIP(), request{"2001:db8::1", nil}, request{"2001:db8::ffff:0:0:1", nil}, true},
		{"two networks of IPv6", RateByClientIP(), request{"2001:db8::1", nil}, request{"2001:db8:0:1::1", nil}, false},
		{"a zone", RateByClientIP(), request{"fe80::1%eth0", nil}, request{"fe80::2", nil}, true},
		{"IPv6 that begins with zeros", RateByClientIP(), request{"::1", nil}, request{"0.0.0.1", nil}, false},
		{"no address twice", RateByClientIP(), request{"", nil}, request{"", nil}, true},
		{"no address and one", RateByClientIP(), request{"", nil}, request{"192.0.2.1", nil}, false},
		{"one value", RateByField("X-User"), request{"192.0.2.1", user("a")}, request{"192.0.2.2", user("a")}, true},
		{"two values", RateByField("X-User"), request{"192.0.2.1", user("a")}, request{"192.0.2.1", user("b")}, false},
		{"an empty value and none", RateByField("X-User"), request{"192.0.2.1", user("")}, request{"192.0.2.1", nil}, false},
		{"none twice", RateByField("X-User"), request{"192.0.2.1", nil}, request{"192.0.2.2", nil}, true},
		{"none and several", RateByField("X-User"), request{"192.0.2.1", nil}, request{"192.0.2.2", user("a", "b")}, true},
		{"several and one of them", RateByField("X-User"), request{"192.0.2.1", user("a", "b")}, request{"192.0.2.1", user("a")}, false},
		{"one route", RateByRoute(), request{"192.0.2.1", user("a")}, request{"2001:db8::1", nil}, true},
	} {
		for _, onConnection := range []bool{false, true} {
			l := newLimitTest(c.by, time.Second, 1)
			if w, _ := l.ask(c.first.ip, c.first.header, false); w.Code != http.StatusNoContent {
				t.Errorf("%s: the first request gets %d", c.name, w.Code)
			}
			refused := false
			if onConnection {
				refused = !l.stage.OnHit.check(l.located(c.second.ip, c.second.header))
			} else {
				w, _ := l.ask(c.second.ip, c.second.header, false)
				refused = w.Code == http.StatusTooManyRequests
			}
			if refused != c.same {
				t.Errorf("%s, on a connection: %v: refused %v", c.name, onConnection, refused)
			}
		}
	}
}

// TestRefusedClientKnowsWhenToComeBack: the 429 tells when the next request is accepted, and the
// client that follows it is accepted.
func TestRefusedClientKnowsWhenToComeBack(t *testing.T) {
	l := newLimitTest(RateByRoute(), 2500*time.Millisecond, 2)
	for range 2 {
		if w, ev := l.ask("", nil, false); w.Code != http.StatusNoContent || ev.Refusal != "" || len(w.Header()) != 0 {
			t.Fatalf("%d, %q, %v", w.Code, ev.Refusal, w.Header())
		}
	}
	for range 3 { // a refused request costs nothing
		w, ev := l.ask("", nil, false)
		h := w.Header()
		if w.Code != http.StatusTooManyRequests || h.Get("Retry-After") != "3" || h.Get("RateLimit-Policy") != `"default";q=60;w=60` || h.Get("RateLimit") != `"default";r=0;t=3` || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", w.Code, h)
		}
		if ev.RefusedBy != "rate_limit" || ev.Refusal != "exceeded" {
			t.Errorf("refused by %q for %q", ev.RefusedBy, ev.Refusal)
		}
	}
	l.now = l.now.Add(3 * time.Second)
	if w, _ := l.ask("", nil, false); w.Code != http.StatusNoContent {
		t.Errorf("%d after the time in Retry-After", w.Code)
	}
}

// TestReportedRequestsPass: in this mode the limit only records.
func TestReportedRequestsPass(t *testing.T) {
	l := newLimitTest(RateByRoute(), time.Second, 2)
	l.limit.Report = true
	for i, want := range []string{"", "", "reported", "reported"} {
		w, ev := l.ask("", nil, false)
		if w.Code != http.StatusNoContent || ev.Refusal != want || len(w.Header()) != 0 {
			t.Errorf("request %d: %d, %q, %v", i, w.Code, ev.Refusal, w.Header())
		}
	}
	if l.stage.OnHit.check(l.located("", nil)) {
		t.Error("a connection answers a hit beyond the limit, which nothing records")
	}
}

// TestRequestIsChargedOnce: a request that the connection has charged costs nothing in the handler,
// even if the limit is used up.
func TestRequestIsChargedOnce(t *testing.T) {
	l := newLimitTest(RateByRoute(), time.Second, 3)
	for range 3 {
		if !l.stage.OnHit.check(l.located("", nil)) {
			t.Fatal("refused below the limit")
		}
		if w, _ := l.ask("", nil, true); w.Code != http.StatusNoContent {
			t.Fatalf("a charged request gets %d", w.Code)
		}
	}
	if w, _ := l.ask("", nil, false); w.Code != http.StatusTooManyRequests {
		t.Errorf("%d beyond the limit", w.Code)
	}
}

// TestRateLimitIsExplained: an explanation charges nothing. It says how many requests are left, and
// whether this one would be refused.
func TestRateLimitIsExplained(t *testing.T) {
	l := newLimitTest(RateByClientIP(), time.Minute, 2)
	for _, want := range []string{"2 of 2 requests left", "1 of 2 requests left", ""} {
		for range 3 {
			e := Explain([]Stage{l.stage}, l.located("2001:db8::1", nil))
			switch {
			case want == "" && (e.Refused == nil || e.Refused.Status != http.StatusTooManyRequests || e.Refused.Stage != "rate_limit"):
				t.Errorf("used up: %+v", e.Refused)
			case want == "" && e.Refused.Why != "the clients of 2001:db8::/64: no request left; the next one is accepted in 1m0s":
				t.Errorf("used up: %s", e.Refused.Why)
			case want != "" && (e.Refused != nil || len(e.Notes) != 1 || !strings.HasSuffix(e.Notes[0], "2001:db8::/64: "+want)):
				t.Errorf("%q, refused: %+v", e.Notes, e.Refused)
			}
		}
		l.ask("2001:db8::1", nil, false)
	}
	l.limit.Report = true
	if e := Explain([]Stage{l.stage}, l.located("2001:db8::1", nil)); e.Refused != nil || len(e.Notes) != 1 || !strings.Contains(e.Notes[0], "mode: report") {
		t.Errorf("%q, refused: %+v", e.Notes, e.Refused)
	}
}

// TestChargeComesLast: the check that charges is asked only if all others agree, whatever the order
// of the stages, and a connection answers no hit that two stages would charge.
func TestChargeComesLast(t *testing.T) {
	charged, agrees := 0, false
	charge := Stage{OnHit: Charge(func(*Located) bool { charged++; return true })}
	check := Stage{OnHit: Check(func(*Located) bool { return agrees })}
	for _, stages := range [][]Stage{{charge, check}, {check, charge}, {check, charge, check}} {
		hits := HitsOf(stages)
		charged, agrees = 0, false
		if hits.Check(nil) || charged != 0 {
			t.Errorf("charged %d times for a hit that another stage refuses", charged)
		}
		agrees = true
		if !hits.Check(nil) || charged != 1 || !hits.First {
			t.Errorf("charged %d times for a hit", charged)
		}
	}
	if hits := HitsOf([]Stage{charge, charge}); hits.First || hits.Repeated {
		t.Error("connections answer hits that two stages charge")
	}
}

// TestFieldThatTheGuardRewrites: the handler alone applies the limit, since the connection sees
// another value.
func TestFieldThatTheGuardRewrites(t *testing.T) {
	if newLimitTest(RateByField("X-Forwarded-User"), time.Second, 1).stage.OnHit.check != nil {
		t.Error("connections apply a limit by a field that the guard removes")
	}
}

// sharedTest has instances with one shared limit, which may be out of reach.
type sharedTest struct {
	instances []*limitTest
	cells     *rate.Table
	away      bool
	clients   map[string]bool // by the names that the shared state got
	calls     int
	alone     int
}

func newSharedTest(instances int, by RateKey, every time.Duration, burst int) *sharedTest {
	s := &sharedTest{clients: map[string]bool{}}
	for range instances {
		l := newLimitTest(by, every, burst)
		if s.cells == nil {
			s.cells = rate.NewTable(l.now)
		}
		l.limit.Shared = &SharedRate{Name: "all", Patience: time.Millisecond, Alone: func() { s.alone++ }, Take: func(_ context.Context, client string, every time.Duration, burst int) (bool, time.Duration, error) {
			s.calls++
			if s.away {
				return false, 0, errors.New("away")
			}
			s.clients[client] = true
			key, limit := s.cells.KeyOf(client), rate.Limit{Every: every, Burst: burst}
			ok := s.cells.Take(key, l.now, limit)
			return ok, s.cells.Look(key, l.now, limit).Wait, nil
		}}
		l.stage = RateLimitStage(l.limit)
		s.instances = append(s.instances, l)
	}
	return s
}

// accepted sends n requests of a client to each instance in turn.
func (s *sharedTest) accepted(n int, ip string) (accepted int) {
	for range n {
		for _, l := range s.instances {
			if w, _ := l.ask(ip, nil, false); w.Code == http.StatusNoContent {
				accepted++
			}
		}
	}
	return accepted
}

// TestSharedLimit: instances together accept one burst. While the shared state is out of reach, an
// instance accepts what it has left of the limit by itself.
func TestSharedLimit(t *testing.T) {
	s := newSharedTest(3, RateByClientIP(), time.Hour, 10)
	if n := s.accepted(4, "192.0.2.1"); n != 10 || s.calls != 12 || s.alone != 0 {
		t.Errorf("%d of 12 requests accepted, %d calls, %d judged alone", n, s.calls, s.alone)
	}
	s.away = true
	if n := s.accepted(20, "192.0.2.1"); n != 3*10-10 || s.alone != 60 {
		t.Errorf("%d requests accepted while the shared state is away, %d judged alone", n, s.alone)
	}
	s.away, s.cells = false, rate.NewTable(s.instances[0].now) // it comes back without its state
	if n := s.accepted(20, "192.0.2.1"); n > 3 {
		t.Errorf("%d more requests accepted after the shared state came back empty", n)
	}
	if n := s.accepted(10, "192.0.2.2"); n != 10 {
		t.Errorf("%d requests of another client accepted", n)
	}
	if len(s.clients) != 2 {
		t.Errorf("the shared state knows %d clients", len(s.clients))
	}
	for name := range s.clients {
		if len(name) != 32 || strings.Contains(name, "192.0.2") {
			t.Errorf("the shared state knows a client as %s", name)
		}
	}
	if rule := s.instances[0].stage.OnHit; rule.kind != never || rule.check != nil {
		t.Error("connections answer hits that a shared limit counts")
	}
}

// TestSharedRefusalTellsTheSharedWait: the client learns when the whole fleet accepts it again.
func TestSharedRefusalTellsTheSharedWait(t *testing.T) {
	s := newSharedTest(2, RateByRoute(), 7*time.Second, 1)
	s.instances[0].ask("", nil, false)
	if w, ev := s.instances[1].ask("", nil, false); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "7" || ev.Refusal != "exceeded" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	e := Explain([]Stage{s.instances[1].stage}, s.instances[1].located("", nil))
	if e.Refused != nil || len(e.Notes) != 1 || !strings.Contains(e.Notes[0], "all instances count in Redis") || s.calls != 2 {
		t.Errorf("%q, refused: %+v, %d calls", e.Notes, e.Refused, s.calls)
	}
}

// TestSharedRefusalCostsNothing: requests that the fleet refuses do not use up this instance's part.
func TestSharedRefusalCostsNothing(t *testing.T) {
	s := newSharedTest(2, RateByRoute(), time.Hour, 10)
	one, other := &sharedTest{instances: s.instances[:1]}, &sharedTest{instances: s.instances[1:]}
	if n := one.accepted(10, ""); n != 10 {
		t.Fatalf("%d accepted", n)
	}
	if n := other.accepted(50, ""); n != 0 {
		t.Fatalf("%d accepted beyond the limit", n)
	}
	s.away = true
	if n := other.accepted(50, ""); n != 10 {
		t.Errorf("the instance accepts %d by itself, not 10", n)
	}
}

// BenchmarkRateLimitOfHit is what a limit adds to a hit on a connection.
func BenchmarkRateLimitOfHit(b *testing.B) {
	for _, by := range []RateKey{RateByClientIP(), RateByField("X-User"), RateByRoute()} {
		b.Run(by.String(), func(b *testing.B) {
			l := newLimitTest(by, time.Microsecond, 1000)
			l.limit.Now = time.Now
			check, located := l.stage.OnHit.check, make([]*Located, 1024)
			for i := range located {
				located[i] = l.located(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), http.Header{"X-User": {strings.Repeat("u", 1+i%64)}})
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				check(located[i%len(located)])
			}
		})
	}
}
