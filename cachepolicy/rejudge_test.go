package cachepolicy

import (
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A stored response that new rules judge has the lifetime that it would have if they had been in
// force when it arrived.
func TestRejudgeEqualsSettleWithTheSameRules(t *testing.T) {
	draw := func(t *rapid.T) *Rules {
		seconds := func(name string) time.Duration {
			return time.Duration(rapid.SampledFrom([]int{0, 5, 60}).Draw(t, name)) * time.Second
		}
		r := &Rules{Enabled: true, TTLDefault: seconds("default"), TTLMin: seconds("min"), TTLMax: seconds("max"), StaleRevalid: seconds("swr"), StaleError: seconds("sie")}
		if rapid.Bool().Draw(t, "status") {
			r.TTLStatus = map[int]time.Duration{200: 30 * time.Second, 503: 20 * time.Second}
		}
		return r
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		h := http.Header{"Etag": {`"1"`}}
		for name, values := range map[string][]string{
			"Cache-Control": {"", "max-age=10", "s-maxage=10", "public", "no-cache", "max-age=10, must-revalidate", "max-age=5, stale-while-revalidate=7", "stale-if-error=0", "max-age=0"},
			"Expires":       {"", "0", now.Add(time.Minute).Format(http.TimeFormat)}, "Last-Modified": {"", now.Add(-time.Hour).Format(http.TimeFormat)},
		} {
			if v := rapid.SampledFrom(values).Draw(t, name); v != "" {
				h[name] = []string{v}
			}
		}
		before, after := draw(t), draw(t)
		q := &Request{Method: "GET", Scheme: "http", Host: "a.example", Path: "/", Header: http.Header{}}
		a := &Answer{Status: rapid.SampledFrom([]int{200, 404, 503}).Draw(t, "code"), Header: h, Sent: now, Received: now}
		stored := before.Settle(q, nil, a, now, 0)
		if stored.Effect != Store {
			return
		}
		want := after.Settle(q, nil, a, now, 0)
		got, ok := after.Rejudge(stored.Meta, h, 0)
		if want.Effect == Store && !ok {
			t.Fatalf("it would be stored, but is given up: %+v", stored.Meta)
		}
		if want.Effect == Store && (got.Lifetime != want.Meta.Lifetime || got.StaleRevalid != want.Meta.StaleRevalid || got.StaleError != want.Meta.StaleError || got.Flags != want.Meta.Flags) {
			t.Fatalf("%+v, want %+v", got, want.Meta)
		}
		if want.Reason == ReasonErrorStatus && ok {
			t.Fatal("an error that would not be stored is kept")
		}
	})
}

// The key contains the name of the sharing rules, and Describe reads it back.
func TestKeyContainsTheSharingRules(t *testing.T) {
	q := &Request{Method: "GET", Scheme: "http", Host: "a.example", Path: "/", Header: http.Header{"Authorization": {"Basic YTpi"}}}
	keys := map[string]bool{}
	for _, sharing := range []string{"", "a", "b"} {
		for _, mode := range []AuthorizationMode{AuthorizationRFC, AuthorizationKey} {
			k, _ := (&Rules{Enabled: true, Route: "r", Sharing: sharing, Authorization: mode}).Key(q)
			keys[k.Full] = true
			parts, ok := k.Describe()
			last := parts[len(parts)-1]
			if !ok || sharing != "" && (last.Name != "rules for sharing" || last.Values[0] != sharing) {
				t.Errorf("%q: %v %v", sharing, parts, ok)
			}
		}
	}
	if len(keys) != 6 {
		t.Errorf("%d keys, want 6", len(keys))
	}
}
