package auth

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
)

// fixed is a method that always gives the same verdict.
type fixed Verdict

func (f fixed) Lets(*edge.Located) bool       { return f.Reason == "" }
func (f fixed) Verdict(*edge.Located) Verdict { return Verdict(f) }

// TestStage: handler, connection and explanation decide alike, and a refusal names a challenge for
// each method.
func TestStage(t *testing.T) {
	method := func(name string, v fixed) Method {
		return Method{Name: name, Judge: v, Challenge: name, Field: "X-" + http.CanonicalHeaderKey(name)}
	}
	in, none, unknown := fixed{Credential: "c", Subject: "s"}, fixed{Reason: NoCredential}, fixed{Reason: UnknownKey, Challenge: "other"}
	for _, c := range []struct {
		name       string
		rules      Rules
		reason     Reason
		challenges []string
	}{
		{"let in", Rules{Methods: []Method{method("a", in)}}, "", nil},
		{"let in by the second", Rules{Methods: []Method{method("a", unknown), method("b", in)}}, "", nil},
		{"refused by both", Rules{Methods: []Method{method("a", none), method("b", unknown)}}, UnknownKey, []string{"a", "other"}},
		{"no credential", Rules{Methods: []Method{method("a", none), method("b", none)}}, NoCredential, []string{"a", "b"}},
	} {
		stage, takeOff := Stage(&c.rules), TakeOff(&c.rules)
		ev := new(observe.Event)
		var passed *http.Request
		r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(observe.NewContext(t.Context(), ev))
		r.Header = http.Header{"X-A": {"1"}, "X_a": {"2"}, "X-B": {"3"}, "X-C": {"4"}}
		w := httptest.NewRecorder()
		edge.Chain([]edge.Stage{stage, takeOff}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = r })).ServeHTTP(w, r)
		said := edge.Explain([]edge.Stage{stage}, &edge.Located{Fields: edge.HeaderFields(http.Header{})})
		let := c.reason == ""
		if (passed != nil) != let || c.rules.lets(&edge.Located{}) != let || (said.Refused == nil) != let || ev.Refusal != string(c.reason) {
			t.Errorf("%s: passed %v, a hit %v, refused for %q, explained %+v", c.name, passed != nil, c.rules.lets(&edge.Located{}), ev.Refusal, said.Refused)
		}
		if !slices.Equal(w.Header()["Www-Authenticate"], c.challenges) || !let && (w.Code != http.StatusUnauthorized || ev.RefusedBy != "auth") {
			t.Errorf("%s: %d, %q", c.name, w.Code, w.Header()["Www-Authenticate"])
		}
		if let && (ev.Credential != "c" || passed.Header["X-A"] != nil || passed.Header["X_a"] != nil || passed.Header["X-C"] == nil) {
			t.Errorf("%s: credential %q, header %v", c.name, ev.Credential, passed.Header)
		}
	}
}
