package cachepolicy

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEveryReasonHasASentence(t *testing.T) {
	for r := ReasonNone; r < reasonEnd; r++ {
		if r.Sentence() == "" {
			t.Errorf("%s has none", r)
		}
	}
	for f := ParamKept; f <= ParamUnlisted; f++ {
		if f.Sentence() == "" {
			t.Errorf("fate %d has none", f)
		}
	}
}

// TestParamsAreTheKeysQuery checks that Params and KeyQuery keep the same parameters.
func TestParamsAreTheKeysQuery(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Rules{
			QueryInclude: rapid.SampledFrom([][]string{nil, {"*"}, {"a*"}, {"a", "b"}}).Draw(t, "include"),
			QueryExclude: rapid.SampledFrom([][]string{nil, {"b"}, {"*x"}}).Draw(t, "exclude"),
		}
		raw := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"a=1", "b", "ax=%", "%61=2", "c=1;b=2", "%zz=1", ""})).Draw(t, "query"), "&")
		var kept []string
		for _, p := range r.Params(raw) {
			if p.Fate.Kept() {
				kept = append(kept, p.Text)
			}
		}
		if got := strings.Join(kept, "&"); r.selectsQuery() && got != r.KeyQuery(raw) {
			t.Fatalf("%q: Params keeps %q, KeyQuery %q", raw, got, r.KeyQuery(raw))
		}
	})
}

func TestKeyDescribe(t *testing.T) {
	r := &Rules{Route: "r", Enabled: true, KeyHeaders: []string{"X-A", "Cookie"}, KeyCookies: []string{"sid"}, Authorization: AuthorizationKey}
	q := tableRequest("GET /p?q=1 [X-A: 1] [X-A: 2] [Cookie: sid=s; sid=t] [Authorization: Basic x]")
	key, why := r.Key(q)
	if why != ReasonNone {
		t.Fatal(why)
	}
	parts, ok := key.Describe()
	if !ok {
		t.Fatalf("%q is not read back", key.Full)
	}
	var got []string
	for _, p := range parts {
		if p.Secret {
			for _, v := range p.Values {
				if !strings.HasPrefix(v, "sha256:") {
					t.Errorf("%s shows %q", p.Name, v)
				}
			}
			got = append(got, p.Name+" "+strings.Repeat("*", len(p.Values)))
			continue
		}
		got = append(got, p.Name+" "+strings.Join(p.Values, "|"))
	}
	want := "route r,scheme http,host example.com,path /p,query q=1,X-A 1|2,Cookie *,cookie sid **,Authorization *"
	if s := strings.Join(got, ","); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	for n := range len(key.Full) {
		if n == len(key.Full)-len("A\x01")-32 {
			continue // a key without Authorization
		}
		if _, ok := (Key{Full: key.Full[:n]}).Describe(); ok {
			t.Errorf("the first %d bytes pass for a key", n)
		}
	}
}

// TestExplainedLifetime checks that the explained lifetime equals the stored one, and that only its
// source is said to count.
func TestExplainedLifetime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, q, a := someRules(t), tableRequest("GET /"), someAnswer(t)
		r.TTLJitter = 0
		v := r.Settle(q, nil, a, t0, 0)
		e := r.ExplainResponse(q, a)
		if v.Effect == Store && (e.Lifetime != v.Meta.Lifetime || e.StaleRevalid != v.Meta.StaleRevalid || e.StaleError != v.Meta.StaleError) {
			t.Fatalf("explained %v, %v, %v; stored %v, %v, %v", e.Lifetime, e.StaleRevalid, e.StaleError, v.Meta.Lifetime, v.Meta.StaleRevalid, v.Meta.StaleError)
		}
		for _, g := range e.Grounds {
			if len(a.Header["Cdn-Cache-Control"]) == 0 && strings.HasPrefix(g.Text, "max-age=") && g.Counts != (e.Source == LifetimeMaxAge) {
				t.Fatalf("%+v beside a lifetime by %s", g, e.Source)
			}
		}
	})
}

// TestRemediesSuffice checks that the next equal request is served after all remedies, and without
// any change if the list is empty.
func TestRemediesSuffice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, q, a := someRules(t), someRequest(t), someAnswer(t)
		list, whole := r.Remedies(q, a)
		for i, m := range list {
			if m.Reason == ReasonNone || m.Fix == FixNone && (whole || i != len(list)-1) {
				t.Fatalf("%v, whole %v", list, whole)
			}
		}
		if len(list) > 0 || !whole || q.Method != http.MethodGet {
			return
		}
		v := r.Settle(q, nil, a, t0, 0)
		if d := r.Decide(q, &v.Meta, t0, 0); v.Effect != Store || d.Action != Serve {
			t.Fatalf("there is no obstacle, yet %s and %s", v.Effect, d.Action)
		}
	})
}

// TestEarlyRefreshShare checks that the share is the probability with which Decide refreshes early.
func TestEarlyRefreshShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Rules{Enabled: true, EarlyBeta: rapid.Float64Range(0.1, 5).Draw(t, "beta")}
		m := &Meta{Status: 200, Born: t0, Lifetime: time.Minute, FillTime: time.Duration(rapid.Int64Range(1, int64(10*time.Second)).Draw(t, "fill"))}
		now := t0.Add(time.Duration(rapid.Int64Range(0, int64(59*time.Second)).Draw(t, "age")))
		share := r.EarlyRefreshShare(m, m.Lifetime-m.Age(now))
		chance := rapid.Float64Range(1e-9, 0.999).Draw(t, "chance")
		if math.Abs(chance-share) < 1e-9 {
			return
		}
		d := r.Decide(tableRequest("GET /"), m, now, chance)
		if (d.Action == ServeAndRefresh) != (chance < share) {
			t.Fatalf("%s by chance %v, share %v", d.Action, chance, share)
		}
	})
}
