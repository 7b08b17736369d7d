package cachepolicy

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDerive(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	part := func(fields ...string) Part {
		h := http.Header{}
		for i := 0; i+1 < len(fields); i += 2 {
			h.Add(fields[i], fields[i+1])
		}
		return Part{Status: 200, Header: h, Received: now, Fields: []string{"Accept-Language", "Authorization"}}
	}
	authorized := func(cc string) Part { p := part("Cache-Control", cc); p.Credentials = true; return p }
	for _, c := range []struct {
		parts []Part
		want  string
		age   time.Duration
		vary  string
	}{
		{[]Part{part("Cache-Control", "max-age=60"), part("Cache-Control", "max-age=10")}, "max-age=10, stale-while-revalidate=0, stale-if-error=0", 0, ""},
		{[]Part{part("Cache-Control", "max-age=60", "Age", "55"), part("Cache-Control", "max-age=10")}, "max-age=60, stale-while-revalidate=0, stale-if-error=0", 55 * time.Second, ""},
		{[]Part{part("Cache-Control", "max-age=60"), part("Cache-Control", "private, max-age=10")}, "private, max-age=10, stale-while-revalidate=0, stale-if-error=0", 0, ""},
		{[]Part{part("Cache-Control", "no-store"), part("Cache-Control", "private, max-age=10")}, "no-store", 0, ""},
		{[]Part{part("Cache-Control", "max-age=9, no-cache"), part("Cache-Control", "max-age=10, must-revalidate")}, "no-cache, max-age=9, must-revalidate", 0, ""},
		{[]Part{part("Cache-Control", "max-age=9, s-maxage=20"), part("Cache-Control", "max-age=10")}, "max-age=9, s-maxage=10, stale-while-revalidate=0, stale-if-error=0", 0, ""},
		{[]Part{part(), part()}, "", 0, ""},
		{[]Part{part(), part("Cache-Control", "max-age=10")}, "max-age=0, stale-while-revalidate=0, stale-if-error=0", 0, ""},
		{[]Part{part("Cache-Control", "max-age=60", "Vary", "accept-language, X-Other, accept-encoding"), part("Cache-Control", "max-age=60", "Vary", "authorization")}, "max-age=60, stale-while-revalidate=0, stale-if-error=0", 0, "Accept-Language, Authorization"},
		{[]Part{part("Cache-Control", "max-age=60", "Vary", "*")}, "max-age=60, stale-while-revalidate=0, stale-if-error=0", 0, "*"},
		{[]Part{authorized("max-age=60")}, "private, max-age=60, stale-while-revalidate=0, stale-if-error=0", 0, ""},
		{[]Part{authorized("public, max-age=60"), part("Cache-Control", "max-age=60")}, "public, max-age=60, stale-while-revalidate=0, stale-if-error=0", 0, ""},
		{[]Part{part("Cache-Control", "max-age=60"), {Retry: 2 * time.Second}}, "max-age=2, stale-while-revalidate=0, stale-if-error=0", 0, ""},
		{[]Part{part("Cache-Control", "max-age=60", "Set-Cookie", "a=b")}, "private, max-age=60, stale-while-revalidate=0, stale-if-error=0", 0, ""},
		{[]Part{part("Cache-Control", "max-age=60, stale-while-revalidate=9, stale-if-error=8"), part("Cache-Control", "max-age=60, stale-while-revalidate=7, stale-if-error=99")}, "max-age=60, stale-while-revalidate=7, stale-if-error=8", 0, ""},
		{[]Part{part("Cache-Control", "max-age=60", "Age", "x"), part("Cache-Control", "max-age=10")}, "max-age=0, stale-while-revalidate=0, stale-if-error=0", 0, ""},
	} {
		got := (&Rules{Enabled: true}).Derive(c.parts)
		if got.CacheControl != c.want || got.Age != c.age || got.Vary != c.vary {
			t.Errorf("%v: %+v, not %s %v %s", c.parts, got, c.want, c.age, c.vary)
		}
	}
	if got := (&Rules{Enabled: true, TTLMin: time.Minute}).Derive([]Part{{Retry: time.Second}}); got.CacheControl != "no-store" {
		t.Errorf("a floor keeps what lacks a part: %+v", got)
	}
}

// TestTheWholeIsNoFreerThanItsParts settles each part, and then the whole as an origin would send it: at no time may the whole be used where one of its parts
// could not be.
func TestTheWholeIsNoFreerThanItsParts(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		r := &Rules{Route: "r", Enabled: true, StaleRevalid: time.Duration(rapid.IntRange(0, 20).Draw(t, "swr")) * time.Second, StaleError: time.Duration(rapid.IntRange(0, 20).Draw(t, "sie")) * time.Second}
		var parts []Part
		var metas []Meta
		stored := true
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			cc := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"private", "no-store", "no-cache", "must-revalidate", "public", "immutable"}), 0, 1, rapid.ID).Draw(t, "words")
			for _, name := range []string{"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"} {
				if rapid.Bool().Draw(t, name+"?") {
					cc = append(cc, fmt.Sprintf("%s=%d", name, rapid.IntRange(0, 50).Draw(t, name)))
				}
			}
			h := http.Header{"Cache-Control": {strings.Join(cc, ", ")}, "Etag": {`"x"`}, "Age": {strconv.Itoa(rapid.IntRange(0, 60).Draw(t, "age"))}}
			p := Part{Status: 200, Header: h, Received: now, Credentials: rapid.Bool().Draw(t, "credentials")}
			q := &Request{Method: "GET", Scheme: "http", Host: "h", Path: "/", Header: http.Header{}}
			if p.Credentials {
				q.Header["Authorization"] = []string{"x"}
			}
			v := r.Settle(q, nil, &Answer{Status: 200, Header: h, Sent: now, Received: now}, now, 0)
			stored = stored && v.Effect == Store
			parts, metas = append(parts, p), append(metas, v.Meta)
		}
		d := r.Derive(parts)
		h := http.Header{"Etag": {`"y"`}, "Age": {strconv.Itoa(int(d.Age / time.Second))}}
		if d.CacheControl != "" {
			h["Cache-Control"] = []string{d.CacheControl}
		}
		plain := &Request{Method: "GET", Scheme: "http", Host: "h", Path: "/", Header: http.Header{}}
		whole := r.Settle(plain, nil, &Answer{Status: 200, Header: h, Sent: now, Received: now}, now, 0)
		if whole.Effect != Store {
			return
		}
		if !stored {
			t.Fatalf("the whole is stored by %q, and one of %v is not", d.CacheControl, parts)
		}
		at := now.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "later")) * time.Second)
		if !usable(r.Decide(plain, &whole.Meta, at, 1)) {
			return
		}
		for i := range metas {
			if !usable(r.Decide(plain, &metas[i], at, 1)) {
				t.Fatalf("after %v the whole is used by %q, and part %v could not be", at.Sub(now), d.CacheControl, parts[i].Header)
			}
		}
	})
}

func usable(d Decision) bool {
	return d.Action == Serve || d.Action == ServeStale || d.Action == ServeAndRefresh
}
