package cachepolicy

import "testing"

// TestWords checks that each value of each vocabulary has its own word, which is an sf-token.
func TestWords(t *testing.T) {
	check := func(kind string, n int, word func(i int) string) {
		seen := map[string]bool{}
		for i := range n {
			w := word(i)
			if w == "" || w == "unknown" || seen[w] {
				t.Errorf("%s %d: %q", kind, i, w)
			}
			if !isToken(w) || !('a' <= w[0] && w[0] <= 'z') {
				t.Errorf("%s %d: %q is not a token", kind, i, w)
			}
			seen[w] = true
		}
		if w := word(n); w != "unknown" {
			t.Errorf("%s %d is not in the table, but is called %q", kind, n, w)
		}
	}
	check("reason", int(reasonEnd), func(i int) string { return Reason(i).String() })
	check("action", int(Refuse)+1, func(i int) string { return Action(i).String() })
	check("effect", int(Refetch)+1, func(i int) string { return Effect(i).String() })
}

func TestForward(t *testing.T) {
	for reason, want := range map[Reason]string{
		ReasonMethod: "method", ReasonDisabled: "bypass", ReasonBody: "bypass", ReasonAuthorization: "bypass", ReasonMiss: "uri-miss",
		ReasonStale: "stale", ReasonNoCache: "stale", ReasonRequestNoCache: "request", ReasonRequestMaxAge: "request",
		ReasonPartial: "partial", ReasonNone: "miss",
	} {
		if got := reason.Forward().String(); got != want {
			t.Errorf("%s: %q, want %q", reason, got, want)
		}
	}
	if ForwardNone.String() != "" || ForwardVaryMiss.String() != "vary-miss" || Forward(200).String() != "miss" {
		t.Error("words of Forward")
	}
}
