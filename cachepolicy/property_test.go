package cachepolicy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// someAnswer draws a response with various fields about its lifetime.
func someAnswer(t *rapid.T) *Answer {
	directive := rapid.SampledFrom([]string{
		"max-age=60", "max-age=0", "max-age=junk", "s-maxage=30", "no-cache", "private", `private="x-a"`, "public", "must-revalidate",
		"proxy-revalidate", "must-understand", "immutable", "stale-while-revalidate=20", "stale-if-error=40", "stale-if-error=0", "x=y",
	})
	h := http.Header{}
	if cc := rapid.SliceOfN(directive, 0, 4).Draw(t, "directives"); len(cc) > 0 {
		h["Cache-Control"] = []string{strings.Join(cc, ", ")}
	}
	for _, field := range [][]string{
		{"Expires", "0", dates("{90}"), dates("{-90}")}, {"Date", dates("{0}"), dates("{-15}"), "junk"}, {"Age", "0", "10", "x"},
		{"Etag", `"a"`, `W/"a"`}, {"Last-Modified", dates("{-500}")}, {"Vary", "Accept-Language", "*"}, {"Set-Cookie", "a=b"},
		{"Cdn-Cache-Control", "max-age=70", "no-store", "junk,"},
	} {
		if rapid.IntRange(0, 2).Draw(t, field[0]) == 0 {
			h[field[0]] = []string{rapid.SampledFrom(field[1:]).Draw(t, field[0]+" value")}
		}
	}
	status := rapid.SampledFrom([]int{200, 200, 200, 201, 204, 301, 302, 400, 404, 405, 500, 503, 599}).Draw(t, "status")
	return &Answer{Status: status, Header: h, Sent: t0.Add(-time.Second), Received: t0}
}

func someRules(t *rapid.T) *Rules {
	ttl := rapid.SampledFrom([]time.Duration{0, 0, 5 * time.Second, time.Hour})
	return &Rules{
		Enabled: true, TTLDefault: ttl.Draw(t, "default"), TTLMin: ttl.Draw(t, "min"), TTLMax: ttl.Draw(t, "max"),
		StaleRevalid: ttl.Draw(t, "swr"), StaleError: ttl.Draw(t, "sie"), TTLJitter: rapid.SampledFrom([]float64{0, 0.5}).Draw(t, "jitter"),
		SetCookie: SetCookieMode(rapid.IntRange(0, 2).Draw(t, "set-cookie")), EarlyBeta: rapid.SampledFrom([]float64{0, 1}).Draw(t, "beta"),
	}
}

func someRequest(t *rapid.T) *Request {
	cc := rapid.SampledFrom([]string{"", "", "no-cache", "max-age=10", "min-fresh=10", "max-stale", "max-stale=10", "only-if-cached", "stale-if-error=15"})
	q := tableRequest(rapid.SampledFrom([]string{"GET /", "HEAD /"}).Draw(t, "method"))
	if v := cc.Draw(t, "request"); v != "" {
		q.Header.Set("Cache-Control", v)
	}
	return q
}

// someStored draws a response and returns its facts as the rules store them, or nil if they don't
// store it.
func someStored(t *rapid.T, r *Rules) *Meta {
	v := r.Settle(tableRequest("GET /"), nil, someAnswer(t), t0, 0.5)
	if v.Effect != Store {
		return nil
	}
	return &v.Meta
}

// TestFreshBackwards checks that a response which is served fresh at some time is fresh at any
// earlier time.
func TestFreshBackwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, q := someRules(t), someRequest(t)
		stored := someStored(t, r)
		if stored == nil {
			return
		}
		late := rapid.Int64Range(0, 200_000).Draw(t, "ms")
		early := rapid.Int64Range(0, late).Draw(t, "earlier ms")
		at := func(ms int64) Decision { return r.Decide(q, stored, t0.Add(time.Duration(ms)*time.Millisecond), 0) }
		if d := at(late); d.Action == Serve && at(early).Action != Serve {
			t.Fatalf("%s at %d ms, %s at %d ms", printDecision(d), late, printDecision(at(early)), early)
		}
	})
}

// TestNeverStored: no-store, an unqualified private, or Vary: * is never stored, whatever else is
// said; nor a cookie but by the rules.
func TestNeverStored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, a := someRules(t), someAnswer(t)
		delete(a.Header, "Cdn-Cache-Control")
		switch rapid.IntRange(0, 3).Draw(t, "forbidden by") {
		case 0:
			a.Header.Add("Cache-Control", "no-store")
			if strings.Contains(a.Header.Get("Cache-Control"), "must-understand") {
				return // RFC 9111 §5.2.2.3
			}
		case 1:
			a.Header.Add("Cache-Control", "private")
		case 2:
			a.Header.Set("Vary", "Accept, *")
		case 3:
			a.Header.Set("Set-Cookie", "a=b")
			r.SetCookie = SetCookiePass
		}
		if v := r.Settle(tableRequest("GET /"), nil, a, t0, 0); v.Effect != Relay {
			t.Fatalf("%v: %s", a.Header, printVerdict(v, t0))
		}
	})
}

// TestWindowsAreExact: between the end of the lifetime and that of the window, including the first
// moment and not the last.
func TestWindowsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, q := someRules(t), tableRequest("GET /")
		stored := someStored(t, r)
		if stored == nil || stored.Flags&FlagNoCache != 0 {
			return
		}
		end := stored.Born.Add(stored.Lifetime)
		served := func(at time.Time, want bool) {
			d := r.Decide(q, stored, at, 0)
			if got := d.Action == Serve || d.Action == ServeAndRefresh; got != want {
				t.Fatalf("stale-while-revalidate %s, %s after the end: %s", stored.StaleRevalid, at.Sub(end), printDecision(d))
			}
		}
		kept := func(at time.Time, want bool) {
			v := r.Settle(q, stored, &Answer{Status: 503, Header: http.Header{}, Sent: at, Received: at}, at, 0)
			if got := v.Effect == KeepStale; got != want {
				t.Fatalf("stale-if-error %s, %s after the end: %s", stored.StaleError, at.Sub(end), printVerdict(v, at))
			}
		}
		if stored.Lifetime > 0 {
			served(end.Add(-1), true)
		}
		served(end.Add(stored.StaleRevalid), false)
		if stored.StaleRevalid > 0 {
			served(end, true)
			served(end.Add(stored.StaleRevalid-1), true)
		}
		if stored.Status >= 500 {
			return
		}
		kept(end.Add(max(0, stored.StaleError)), false)
		if stored.StaleError > 0 {
			kept(end, true)
			kept(end.Add(stored.StaleError-1), true)
		}
	})
}

// TestRequestsAreObeyed checks that no combination of directives overrides a prohibition of the
// request or of the stored response.
func TestRequestsAreObeyed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, q := someRules(t), someRequest(t)
		stored := someStored(t, r)
		if stored == nil {
			return
		}
		now := t0.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "s")) * time.Second)
		d := r.Decide(q, stored, now, 0.5)
		served := d.Action == Serve || d.Action == ServeStale || d.Action == ServeAndRefresh
		cc := q.Header.Get("Cache-Control")
		switch {
		case cc == "only-if-cached" && d.asks():
			t.Fatalf("only-if-cached: %s", printDecision(d))
		case cc == "no-cache" && served:
			t.Fatalf("no-cache: %s", printDecision(d))
		case cc == "min-fresh=10" && served && d.TTL < 10*time.Second:
			t.Fatalf("min-fresh: %s", printDecision(d))
		case cc == "max-age=10" && served && d.Age > 10*time.Second && stored.Flags&FlagImmutable == 0:
			t.Fatalf("max-age: %s", printDecision(d))
		case served && d.TTL <= 0 && stored.Flags&FlagMustRevalidate != 0 && stored.StaleRevalid == 0:
			t.Fatalf("must-revalidate: %s", printDecision(d))
		case served && stored.Flags&FlagNoCache != 0:
			t.Fatalf("no-cache of the response: %s", printDecision(d))
		}
	})
}

// TestFreshenKeepsTheContent checks that a 304 never changes the stored content, and that a second
// equal 304 changes nothing.
func TestFreshenKeepsTheContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, q, first := someRules(t), tableRequest("GET /"), someAnswer(t)
		first.Header.Set("Content-Length", "7")
		first.Header.Set("Etag", `"a"`)
		v := r.Settle(q, nil, first, t0, 0)
		if v.Effect != Store {
			return
		}
		update := someAnswer(t)
		update.Status = 304
		update.Header.Set("Etag", `"a"`)
		update.Header.Set("Content-Length", "99")
		update.Stored = first.Header
		once := r.Settle(q, &v.Meta, update, t0, 0)
		if once.Effect != Freshen {
			return
		}
		m := once.Meta
		if m.Total != 7 || m.Spans != nil || m.Status != v.Meta.Status || m.ETag != `"a"` || once.Header.Get("Content-Length") != "7" {
			t.Fatalf("%s became %s", printMeta(&v.Meta, t0), printMeta(&m, t0))
		}
		update.Stored = once.Header
		if twice := r.Settle(q, &m, update, t0, 0); printVerdict(twice, t0) != printVerdict(once, t0) {
			t.Fatalf("once %s\ntwice %s", printVerdict(once, t0), printVerdict(twice, t0))
		}
	})
}
