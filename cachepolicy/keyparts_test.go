package cachepolicy

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestKeyParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 300, -1)
		want := KeyParts{text.Draw(t, "route"), text.Draw(t, "scheme"), text.Draw(t, "host"), text.Draw(t, "path"), text.Draw(t, "query")}
		r := &Rules{Route: want.Route, KeyHeaders: []string{"X-Tenant"}, KeyCookies: []string{"c"}}
		q := requestFor("", "X-Tenant", text.Draw(t, "tenant"))
		q.Scheme, q.Host, q.Path, q.RawQuery = want.Scheme, want.Host, want.Path, want.Query
		got, ok := keyOf(r, q).Parts()
		if !ok || got != want {
			t.Fatalf("Parts() = %+v, %v, want %+v", got, ok, want)
		}
	})
}

func TestKeyPartsOfOtherText(t *testing.T) {
	for _, full := range []string{"", "G", "H\x00\x00\x00\x00\x00", "G\x05abc", "G\x00\x00\x00\x00", "G" + strings.Repeat("\xff", 12), "G\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if p, ok := (Key{Full: full}).Parts(); ok {
			t.Errorf("Parts of %q: %+v", full, p)
		}
	}
}

func keyOf(r *Rules, q *Request) Key {
	k, _ := r.Key(q)
	return k
}
