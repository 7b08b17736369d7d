package cachepolicy

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// requestFor returns a GET of a URL on example.test with the fields given as name, value, name,
// value.
func requestFor(pathAndQuery string, fields ...string) *Request {
	path, query, _ := strings.Cut(pathAndQuery, "?")
	q := &Request{Method: "GET", Scheme: "https", Host: "example.test", Path: path, RawQuery: query, Header: http.Header{}}
	for i := 0; i+1 < len(fields); i += 2 {
		q.Header.Add(fields[i], fields[i+1])
	}
	return q
}

func mustKey(t testing.TB, r *Rules, q *Request) Key {
	t.Helper()
	k, why := r.Key(q)
	if why != ReasonNone {
		t.Fatalf("Key(%+v) refuses: %v", q, why)
	}
	return k
}

func TestKeyReasons(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules Rules
		edit  func(*Request)
		want  Reason
	}{
		{"GET", Rules{}, func(*Request) {}, ReasonNone},
		{"HEAD", Rules{}, func(q *Request) { q.Method = "HEAD" }, ReasonNone},
		{"POST", Rules{}, func(q *Request) { q.Method = "POST" }, ReasonMethod},
		{"lower case is another method", Rules{}, func(q *Request) { q.Method = "get" }, ReasonMethod},
		{"body", Rules{}, func(q *Request) { q.HasBody = true }, ReasonBody},
		{"upgrade", Rules{}, func(q *Request) { q.Header.Set("Upgrade", "websocket") }, ReasonUpgrade},
		{"authorization, rfc", Rules{}, func(q *Request) { q.Header.Set("Authorization", "Basic eDp5") }, ReasonNone},
		{"authorization, never", Rules{Authorization: AuthorizationNever}, func(q *Request) { q.Header.Set("Authorization", "") }, ReasonAuthorization},
		{"authorization, key", Rules{Authorization: AuthorizationKey}, func(q *Request) { q.Header.Set("Authorization", "x") }, ReasonNone},
		{"credential, rfc", Rules{}, func(q *Request) { q.Credential = "x" }, ReasonNone},
		{"credential, never", Rules{Authorization: AuthorizationNever}, func(q *Request) { q.Credential = "x" }, ReasonAuthorization},
		{"never, without the field", Rules{Authorization: AuthorizationNever}, func(*Request) {}, ReasonNone},
	} {
		q := requestFor("/")
		c.edit(q)
		k, got := c.rules.Key(q)
		if got != c.want {
			t.Errorf("%s: reason %v, want %v", c.name, got, c.want)
		}
		if (k.Full == "") != (c.want != ReasonNone) {
			t.Errorf("%s: key %q with reason %v", c.name, k.Full, got)
		}
	}
}

// TestKeySeparatesAndJoins checks which differences between two requests make two keys.
func TestKeySeparatesAndJoins(t *testing.T) {
	keyed := Rules{Route: "r", KeyHeaders: []string{"X-Tenant"}, KeyCookies: []string{"plan", "ab"}}
	byUser := Rules{Route: "r", Authorization: AuthorizationKey}
	for _, c := range []struct {
		name  string
		rules *Rules
		a, b  *Request
		same  bool
	}{
		{"equal", &keyed, requestFor("/a?x=1"), requestFor("/a?x=1"), true},
		{"other fields don't count", &keyed, requestFor("/a", "X-Other", "1"), requestFor("/a"), true},
		{"header value", &keyed, requestFor("/a", "X-Tenant", "1"), requestFor("/a", "X-Tenant", "2"), false},
		{"absent is not empty", &keyed, requestFor("/a", "X-Tenant", ""), requestFor("/a"), false},
		{"two lines are not one", &keyed, requestFor("/a", "X-Tenant", "1", "X-Tenant", "2"), requestFor("/a", "X-Tenant", "12"), false},
		{"cookie value", &keyed, requestFor("/a", "Cookie", "plan=1"), requestFor("/a", "Cookie", "plan=2"), false},
		{"other cookies don't count", &keyed, requestFor("/a", "Cookie", "s=9; plan=1"), requestFor("/a", "Cookie", "plan=1; t=8"), true},
		{"cookie lines", &keyed, requestFor("/a", "Cookie", "plan=1", "Cookie", "ab=2"), requestFor("/a", "Cookie", "ab=2;plan=1"), true},
		{"cookie absent is not empty", &keyed, requestFor("/a", "Cookie", "plan="), requestFor("/a", "Cookie", "s=1"), false},
		{"cookie without = is not empty", &keyed, requestFor("/a", "Cookie", "plan="), requestFor("/a", "Cookie", "plan"), false},
		{"cookie names take their case", &keyed, requestFor("/a", "Cookie", "PLAN=1"), requestFor("/a"), true},
		{"cookie twice", &keyed, requestFor("/a", "Cookie", "plan=1; plan=2"), requestFor("/a", "Cookie", "plan=2; plan=1"), false},
		{"one cookie's value is not another's", &keyed, requestFor("/a", "Cookie", "plan=1"), requestFor("/a", "Cookie", "ab=1"), false},
		{"authorization in the key", &byUser, requestFor("/a", "Authorization", "u1"), requestFor("/a", "Authorization", "u2"), false},
		{"authorization absent", &byUser, requestFor("/a", "Authorization", ""), requestFor("/a"), false},
		{"authorization, rfc", &keyed, requestFor("/a", "Authorization", "u1"), requestFor("/a"), true},
		{"credentials in the key", &byUser, withCredential("u1"), withCredential("u2"), false},
		{"the same credential", &byUser, withCredential("u1"), withCredential("u1"), true},
		{"credential absent", &byUser, withCredential("u1"), requestFor("/a"), false},
		{"a credential is not authorization", &byUser, withCredential("u1"), requestFor("/a", "Authorization", "u1"), false},
		{"credential, rfc", &keyed, withCredential("u1"), requestFor("/a"), true},
	} {
		a, b := mustKey(t, c.rules, c.a), mustKey(t, c.rules, c.b)
		if (a == b) != c.same || (a.Full == b.Full) != c.same {
			t.Errorf("%s: %q and %q", c.name, a.Full, b.Full)
		}
	}
}

// withCredential is a request for /a that a credential has let in.
func withCredential(credential string) *Request {
	q := requestFor("/a")
	q.Credential = credential
	return q
}

func TestKeyMethodsShareAnEntry(t *testing.T) {
	get, head, post := requestFor("/a?x=1"), requestFor("/a?x=1"), requestFor("/a?x=1")
	head.Method, post.Method = "HEAD", "POST"
	r := &Rules{Route: "r"}
	want := mustKey(t, r, get)
	if got := mustKey(t, r, head); got != want {
		t.Errorf("HEAD has the key %q, GET %q", got.Full, want.Full)
	}
	if got, ok := r.URLKey(post, "https://example.test/a?x=1"); !ok || got != want {
		t.Errorf("a stored POST response has the key %q, GET %q", got.Full, want.Full)
	}
}

// TestSamePathOnOtherHosts checks that one path on two hosts, schemes or routes never shares an
// entry.
func TestSamePathOnOtherHosts(t *testing.T) {
	seen := map[Key]string{}
	for _, route := range []string{"a", "b"} {
		for _, scheme := range []string{"http", "https"} {
			for _, host := range []string{"one.test", "two.test", "one.test:8080"} {
				q := requestFor("/same")
				q.Scheme, q.Host = scheme, host
				k := mustKey(t, &Rules{Route: route}, q)
				id := fmt.Sprint(route, scheme, host)
				if other, ok := seen[k]; ok {
					t.Errorf("%s and %s share %q", id, other, k.Full)
				}
				seen[k] = id
			}
		}
	}
}

// TestNoURLForgesAKey checks that no part of a key can read as the end of its own field and the
// start of the next.
func TestNoURLForgesAKey(t *testing.T) {
	r := &Rules{Route: "r", KeyHeaders: []string{"X-Tenant"}}
	victim := mustKey(t, r, requestFor("/x?a=1", "X-Tenant", "acme"))
	attempts := []string{
		"/x", "/x?", "/x?a=1", "/x::a=1", "/x\x00a=1", "/x\x1fa=1", "/x\x03a=1\x01\x08X-Tenant\x01\x04acme", "/x?a=1\x01\x08X-Tenant\x01\x04acme",
		"/x?\x03a=1", "/x::__vary", "/" + victim.Full, victim.Full, "/x::" + fmt.Sprintf("%x", victim.Hash),
	}
	for _, a := range attempts {
		for _, fields := range [][]string{nil, {"X-Tenant", ""}, {"X-Tenant", "acme\x00"}} {
			if k := mustKey(t, r, requestFor(a, fields...)); k.Full == victim.Full || k.Hash == victim.Hash {
				t.Errorf("%q with %q has the victim's key", a, fields)
			}
		}
	}
	sum := sha256.Sum256([]byte(victim.Full))
	if [16]byte(sum[:16]) != victim.Hash {
		t.Errorf("Hash %x is not the first half of SHA-256(Full)", victim.Hash)
	}
}

// TestKeyCoversTheForwardedQuery checks that the key covers every byte of a query that the origin
// gets.
func TestKeyCoversTheForwardedQuery(t *testing.T) {
	plain := &Rules{Route: "r"}
	queries := []string{
		"", "a=1", "a=1&a=1", "a=1&", "&a=1", "a=1&&b=2", "a=1;b=2", "a=1&b=2", "b=2&a=1", "A=1", "a=%31", "%61=1", "a=+", "a=%20", "a", "a=",
		"utm_source=x", strings.Repeat("p=1&", 10_000) + "p=1", strings.Repeat("p=1&", 10_000) + "p=2",
	}
	seen := map[Key]string{}
	for _, query := range queries {
		if got := plain.KeyQuery(query); got != query {
			t.Errorf("KeyQuery(%.40q) = %.40q, want it as sent", query, got)
		}
		k := mustKey(t, plain, requestFor("/?"+query))
		if other, ok := seen[k]; ok {
			t.Errorf("%.40q and %.40q share a key", query, other)
		}
		seen[k] = query
	}
	body := requestFor("/?a=1")
	body.HasBody = true
	if _, why := plain.Key(body); why != ReasonBody {
		t.Errorf("a GET with content has a key: %v", why)
	}
	// An excluded parameter is neither in the key nor in the query that the origin gets. A
	// parameter that an origin might split at ";" is in both.
	marketing := &Rules{Route: "r", QueryExclude: []string{"utm_*"}}
	if a, b := mustKey(t, marketing, requestFor("/?utm_source=<script>&a=1")), mustKey(t, marketing, requestFor("/?a=1")); a != b {
		t.Errorf("an excluded parameter is in the key: %q", a.Full)
	}
	if a, b := mustKey(t, marketing, requestFor("/?utm_source=x;admin=1")), mustKey(t, marketing, requestFor("/")); a == b {
		t.Error("utm_source hides admin=1 from the key")
	}
}

func TestURLKey(t *testing.T) {
	r := &Rules{Route: "r"}
	q := requestFor("/here?x=1")
	for _, c := range []struct{ ref, same string }{
		{"https://example.test/a?b=1", "/a?b=1"},
		{"https://EXAMPLE.test:443/a", "/a"},
		{"https://example.test", "/"},
		{"https://other.test/a", ""},
		{"https://example.test:444/a", ""},
		{"ftp://example.test/a", ""},
		{"https://user@example.test/a", ""},
		{"https://example.test/%zz", ""},
		{"", ""},
	} {
		got, ok := r.URLKey(q, c.ref)
		if ok != (c.same != "") {
			t.Errorf("URLKey(%q): ok = %v", c.ref, ok)
		} else if ok && got != mustKey(t, r, requestFor(c.same)) {
			t.Errorf("URLKey(%q) = %q, not the key of %s", c.ref, got.Full, c.same)
		}
	}
}

// slowKey is a second implementation of the key's encoding: it collects the parts first and encodes
// them at the end.
func slowKey(r *Rules, q *Request) string {
	var parts [][]string // a nil list is a plain part
	plain := func(s string) { parts = append(parts, nil, []string{s}) }
	list := func(s []string) { parts = append(parts, append([]string{}, s...)) }
	for _, s := range []string{r.Route, q.Scheme, q.Host, q.Path, slowQuery(r, q.RawQuery)} {
		plain(s)
	}
	var out strings.Builder
	number := func(n int) { out.Write(binary.AppendUvarint(nil, uint64(n))) }
	out.WriteByte('G')
	flush := func() {
		for i := 0; i < len(parts); i++ {
			if parts[i] == nil {
				i++
				number(len(parts[i][0]))
				out.WriteString(parts[i][0])
				continue
			}
			number(len(parts[i]))
			for _, s := range parts[i] {
				number(len(s))
				out.WriteString(s)
			}
		}
		parts = nil
	}
	flush()
	number(len(r.KeyHeaders))
	for _, n := range r.KeyHeaders {
		plain(n)
		list(q.Header.Values(n))
	}
	flush()
	number(len(r.KeyCookies))
	secrets := func(values []string) {
		flush()
		number(len(values))
		for _, v := range values {
			sum := sha256.Sum256([]byte(v))
			out.Write(sum[:])
		}
	}
	for _, n := range r.KeyCookies {
		plain(n)
		var values []string
		for p := range strings.SplitSeq(strings.Join(q.Header.Values("Cookie"), ";"), ";") {
			p = strings.Trim(p, " \t")
			at := strings.IndexByte(p+"=", '=')
			if strings.Trim(p[:at], " \t") == n && p != "" {
				values = append(values, p[at:])
			}
		}
		secrets(values)
	}
	if r.Authorization == AuthorizationKey {
		flush()
		out.WriteByte('A')
		secrets(q.Header.Values("Authorization"))
		if q.Credential != "" {
			out.WriteByte('C')
			sum := sha256.Sum256([]byte(q.Credential))
			out.Write(sum[:])
		}
	}
	flush()
	return out.String()
}

// drawRequest draws requests from few and awkward parts, so that coincidences are likely.
func drawRequest(t *rapid.T, label string) *Request {
	part := rapid.SampledFrom([]string{"", "a", "b", "a=1", "&", "\x00", "\x01", "\x01a", "=", ";", "utm_x=1", "%61=2", "a=2", "b=1", " "})
	join := func(name string) string { return strings.Join(rapid.SliceOfN(part, 0, 4).Draw(t, label+name), "") }
	q := &Request{
		Method: "GET", Scheme: rapid.SampledFrom([]string{"http", "https"}).Draw(t, label+"scheme"),
		Host: join("host"), Path: "/" + join("path"), RawQuery: strings.Join(rapid.SliceOfN(part, 0, 4).Draw(t, label+"query"), "&"), Header: http.Header{},
	}
	q.Credential = join("credential")
	for _, name := range []string{"X-A", "X-B", "Cookie", "Authorization"} {
		if lines := rapid.SliceOfN(part, 0, 3).Draw(t, label+name); len(lines) > 0 {
			q.Header[name] = lines
		}
	}
	return q
}

func drawRules(t *rapid.T) *Rules {
	some := func(all ...string) []string {
		return rapid.SampledFrom([][]string{nil, all[:1], all}).Draw(t, all[0])
	}
	return &Rules{
		Route: "r", KeyHeaders: some("X-A", "X-B"), KeyCookies: some("a", "b"), QueryExclude: some("utm_*", "b"),
		QueryInclude: some("*", "a"), QuerySort: rapid.Bool().Draw(t, "sort"), Authorization: rapid.SampledFrom([]AuthorizationMode{AuthorizationRFC, AuthorizationKey}).Draw(t, "auth"),
	}
}

// parts lists all facts that the key of q under r must distinguish.
func parts(r *Rules, q *Request) string {
	s := fmt.Sprintf("%q %q %q %q %q", r.Route, q.Scheme, q.Host, q.Path, slowQuery(r, q.RawQuery))
	for _, n := range r.KeyHeaders {
		s += fmt.Sprintf(" %q", q.Header[n])
	}
	for _, n := range r.KeyCookies {
		s += fmt.Sprintf(" %q", slices.Collect(cookieValues(q.Header["Cookie"], n)))
	}
	if r.Authorization == AuthorizationKey {
		s += fmt.Sprintf(" %q %q", q.Header["Authorization"], q.Credential)
	}
	return s
}

func TestKeyIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRules(t)
		a, b := drawRequest(t, "a"), drawRequest(t, "b")
		if rapid.Bool().Draw(t, "near") {
			b.Scheme, b.Host, b.Path = a.Scheme, a.Host, a.Path
		}
		ka, _ := r.Key(a)
		kb, _ := r.Key(b)
		if (ka == kb) != (parts(r, a) == parts(r, b)) || (ka.Full == kb.Full) != (ka.Hash == kb.Hash) {
			t.Fatalf("%s\n%s\nkeys %q\n%q", parts(r, a), parts(r, b), ka.Full, kb.Full)
		}
	})
}

func TestKeyTwoEncodersAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, q := drawRules(t), drawRequest(t, "")
		if k, _ := r.Key(q); k.Full != slowKey(r, q) {
			t.Fatalf("key  %q\nslow %q", k.Full, slowKey(r, q))
		}
	})
}

func TestKeyAllocations(t *testing.T) {
	plain := &Rules{Route: "r"}
	full := &Rules{Route: "r", KeyHeaders: []string{"X-Tenant"}, KeyCookies: []string{"plan"}, QueryExclude: []string{"utm_*"}, QuerySort: true, Authorization: AuthorizationKey}
	for _, c := range []struct {
		name  string
		rules *Rules
		q     *Request
		want  float64
	}{
		{"plain", plain, requestFor("/api/users/42?expand=orders"), 1},
		{"all rules, nothing to change", full, requestFor("/api/users/42?a=1&b=2", "X-Tenant", "acme", "Cookie", "s=1; plan=pro", "Authorization", "x"), 1},
		{"query changed", full, requestFor("/api/users/42?b=1&utm_source=z&a=2"), 2},
	} {
		if got := testing.AllocsPerRun(100, func() { c.rules.Key(c.q) }); got > c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	r := &Rules{Route: "users", KeyHeaders: []string{"X-Tenant"}}
	q := requestFor("/api/users/42?expand=orders", "X-Tenant", "acme")
	b.ReportAllocs()
	for b.Loop() {
		r.Key(q)
	}
}

// TestKeyHidesCredentials checks that a key reveals no credential, since others can read the stores
// that hold keys.
func TestKeyHidesCredentials(t *testing.T) {
	r := &Rules{Route: "r", Authorization: AuthorizationKey, KeyCookies: []string{"session"}}
	k, why := r.Key(requestFor("/a", "Authorization", "Bearer s3cr3t", "Cookie", "session=c00k1e"))
	if why != ReasonNone || strings.Contains(k.Full, "s3cr3t") || strings.Contains(k.Full, "c00k1e") {
		t.Errorf("key %q, %v", k.Full, why)
	}
	if KeyOf(k.Full) != k {
		t.Error("KeyOf gives another key")
	}
}
