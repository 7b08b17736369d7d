package cachepolicy

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// varyOn makes the Vary of a stored response with the given Vary lines.
func varyOn(t testing.TB, q *Request, lines ...string) Vary {
	t.Helper()
	v, ok := (&Rules{}).MakeVary(q, http.Header{"Vary": lines})
	if !ok {
		t.Fatalf("MakeVary refuses %q", lines)
	}
	return v
}

func TestMakeVaryNames(t *testing.T) {
	transcodes := &Rules{Transcodes: true}
	for _, c := range []struct {
		name  string
		rules *Rules
		lines []string
		want  string
		ok    bool
	}{
		{"none", &Rules{}, nil, "", true},
		{"empty", &Rules{}, []string{"", " , ,"}, "", true},
		{"one", &Rules{}, []string{"foo"}, "Foo", true},
		{"sorted, folded, once", &Rules{}, []string{"b, A", "B,c , a"}, "A B C", true},
		{"star", &Rules{}, []string{"*"}, "", false},
		{"star among names", &Rules{}, []string{"foo, *"}, "", false},
		{"star before a name", &Rules{}, []string{"*, foo"}, "", false},
		{"star on a later line", &Rules{}, []string{"foo", "", ", *"}, "", false},
		{"star twice", &Rules{}, []string{"*, *"}, "", false},
		{"star is no wildcard in a name", &Rules{}, []string{"x*y"}, "X*y", true},
		{"names without a comma", &Rules{}, []string{"foo bar"}, "", false},
		{"no field name", &Rules{}, []string{"föö"}, "", false},
		{"host is in the key", &Rules{}, []string{"host, foo"}, "Foo", true},
		{"codings", &Rules{}, []string{"accept-encoding, foo"}, "Accept-Encoding Foo", true},
		{"codings of a gateway that transcodes", transcodes, []string{"accept-encoding, foo"}, "Foo", true},
		{"nothing but codings", transcodes, []string{"Accept-Encoding"}, "", true},
		{"star of a gateway that transcodes", transcodes, []string{"Accept-Encoding, *"}, "", false},
	} {
		v, ok := c.rules.MakeVary(requestFor("/", "Foo", "1"), http.Header{"Vary": c.lines})
		if got := strings.Join(slices.Collect(v.Names()), " "); ok != c.ok || got != c.want {
			t.Errorf("%s: names %q, %v, want %q, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

// TestVaryMatches checks which other requests may get a response that varies on the fields below.
func TestVaryMatches(t *testing.T) {
	fields := func(s ...string) []string { return s }
	for _, c := range []struct {
		name          string
		vary          string
		stored, asked []string
		want          bool
	}{
		{"same", "Foo", fields("Foo", "1"), fields("Foo", "1"), true},
		{"other", "Foo", fields("Foo", "1"), fields("Foo", "2"), false},
		{"other field", "Foo", fields("Foo", "1", "Bar", "2"), fields("Foo", "1", "Bar", "3"), true},
		{"not stored", "Foo", nil, fields("Foo", "1"), false},
		{"not asked", "Foo", fields("Foo", "1"), nil, false},
		{"neither", "Foo", nil, nil, true},
		{"empty is not absent", "Foo", fields("Foo", ""), nil, false},
		{"absent is not empty", "Foo", nil, fields("Foo", ""), false},
		{"two of two", "Foo, Bar", fields("Foo", "1", "Bar", "a"), fields("Bar", "a", "Foo", "1"), true},
		{"one of two", "Foo, Bar", fields("Foo", "1", "Bar", "a"), fields("Foo", "1"), false},
		{"values don't move between fields", "Foo, Bar", fields("Foo", "1", "Bar", "2"), fields("Foo", "2", "Bar", "1"), false},
		{"absent in both", "Foo, Bar, Baz", fields("Foo", "1", "Baz", "3"), fields("Foo", "1", "Baz", "3"), true},
		{"lines join", "Foo", fields("Foo", "1, 2"), fields("Foo", "1", "Foo", "2"), true},
		{"lines join in order", "Foo", fields("Foo", "1, 2"), fields("Foo", "2", "Foo", "1"), false},
		{"space around commas", "Foo", fields("Foo", "1,2"), fields("Foo", " 1 ,\t2 "), true},
		{"space within a member", "Foo", fields("Foo", "1 2"), fields("Foo", "12"), false},
		{"empty members stay", "Foo", fields("Foo", "1,2"), fields("Foo", "1,,2"), false},
		{"case of an unknown field", "Foo", fields("Foo", "a"), fields("Foo", "A"), false},
		{"quoted comma", "Foo", fields("Foo", `"a, b"`), fields("Foo", `"a,b"`), false},
		{"quoted quote", "Foo", fields("Foo", `"a\" , b"`), fields("Foo", `"a\",b"`), false},
		{"after a quoted string", "Foo", fields("Foo", `"a" , b`), fields("Foo", `"a",b`), true},
		{"language order", "Accept-Language", fields("Accept-Language", "en, de"), fields("Accept-Language", "de, en"), true},
		{"language case", "Accept-Language", fields("Accept-Language", "en, de"), fields("Accept-Language", "eN, De"), true},
		{"language space", "Accept-Language", fields("Accept-Language", "en, de"), fields("Accept-Language", " en ,   de"), true},
		{"language weights spelt", "Accept-Language", fields("Accept-Language", "en, de;q=0.50"), fields("Accept-Language", "de ; Q=0.5, en;q=1.000"), true},
		{"language weights differ", "Accept-Language", fields("Accept-Language", "en, de;q=0.5"), fields("Accept-Language", "en;q=0.5, de"), false},
		{"language list is not its part", "Accept-Language", fields("Accept-Language", "en, de"), fields("Accept-Language", "en"), false},
		{"language twice keeps its order", "Accept-Language", fields("Accept-Language", "en, de, en;q=0"), fields("Accept-Language", "en;q=0, de, en"), false},
		{"malformed weight keeps its order", "Accept-Language", fields("Accept-Language", "en;q=x, de"), fields("Accept-Language", "de, en;q=x"), false},
		{"malformed weight loses its case", "Accept-Language", fields("Accept-Language", "en;q=x, de"), fields("Accept-Language", "EN;q=X,DE"), true},
		{"coding order", "Accept-Encoding", fields("Accept-Encoding", "gzip, br"), fields("Accept-Encoding", "br,gzip"), true},
		{"coding refused", "Accept-Encoding", fields("Accept-Encoding", "gzip, br;q=0"), fields("Accept-Encoding", "gzip"), false},
		{"no coding wanted", "Accept-Encoding", fields("Accept-Encoding", ""), nil, false},
		{"media types keep their order", "Accept", fields("Accept", "text/html, text/plain"), fields("Accept", "text/plain, text/html"), false},
		{"media types lose case and space", "Accept", fields("Accept", "Text/HTML ; level=1 ,*/*"), fields("Accept", "text/html;level=1, */*"), true},
		{"media type parameters keep their case", "Accept", fields("Accept", "text/html;p=A"), fields("Accept", "text/html;p=a"), false},
		{"media type of the second member", "Accept", fields("Accept", "a/b;p=A,C/D"), fields("Accept", "a/b;p=A,c/d"), true},
		{"user agent's commas", "User-Agent", fields("User-Agent", "x (a, b)"), fields("User-Agent", "x (a,b)"), false},
		{"cookie in pieces", "Cookie", fields("Cookie", "a=1; b=2"), fields("Cookie", "a=1", "Cookie", "b=2"), true},
		{"cookie order", "Cookie", fields("Cookie", "a=1; b=2"), fields("Cookie", "b=2; a=1"), false},
	} {
		v := varyOn(t, requestFor("/", c.stored...), c.vary)
		asked := requestFor("/", c.asked...)
		if got := v.Matches(asked); got != c.want {
			t.Errorf("%s: stored with %q, asked with %q: %v", c.name, c.stored, c.asked, got)
		}
		if back := varyOn(t, asked, c.vary); (back == v) != c.want {
			t.Errorf("%s: %q and %q", c.name, v, back)
		}
	}
}

func TestNormalForms(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"Accept-Encoding", "GZIP;q=0.300, br , identity;q=0, *;q=0.001", "br,gzip;q=0.3,*;q=0.001,identity;q=0"},
		{"Accept-Encoding", ",, ", ""},
		{"Accept-Encoding", "gzip;q=1.001", "gzip;q=1.001"},
		{"Accept-Encoding", "br, gzip;q=0.1234", "br,gzip;q=0.1234"},
		{"Accept-Language", "fr;q=0.5,de-CH", "de-ch,fr;q=0.5"},
		{"Accept-Language", "en;q=0.9;x=1, De", "en;q=0.9;x=1,de"},
		{"Accept", "TEXT/Html;Level=A , \tImage/* ;q=0.5", "text/html;Level=A,image/*;q=0.5"},
		{"Foo", `a , "b , c" , d`, `a,"b , c",d`},
		{"Foo", `a , "b , c  , d`, `a,"b , c  , d`},
	} {
		if got := string(appendNormal(nil, c.name, []string{c.line})); got != c.want {
			t.Errorf("%s: %q becomes %q, want %q", c.name, c.line, got, c.want)
		}
	}
}

// TestVariantsAreSeparate checks that only the fields that the response names make variants, and
// that "*" is never reused.
func TestVariantsAreSeparate(t *testing.T) {
	r := &Rules{}
	for _, lines := range [][]string{{"*"}, {"Accept", "*"}, {"User-Agent, *"}} {
		if _, ok := r.MakeVary(requestFor("/"), http.Header{"Vary": lines}); ok {
			t.Errorf("Vary %q may be reused", lines)
		}
	}
	two := varyOn(t, requestFor("/", "A", "1", "B", "2"), "A", "B")
	if two != varyOn(t, requestFor("/", "A", "1", "B", "2"), "B, A") || two.Matches(requestFor("/", "A", "1", "B", "3")) {
		t.Errorf("two Vary lines are not one: %q", two)
	}
	user := varyOn(t, requestFor("/", "Cookie", "sid=1"), "Cookie")
	if user.Matches(requestFor("/", "Cookie", "sid=2")) || user.Matches(requestFor("/")) {
		t.Error("one user's variant answers another")
	}
	// Fields that Vary does not name make no variants, and neither do other spellings of an equal
	// value.
	seen := map[Vary]bool{}
	for _, language := range []string{"de,en", "en, de", "EN,DE", "en;q=1,de;q=1.0", ",de,,en"} {
		seen[varyOn(t, requestFor("/", "User-Agent", language, "Accept-Language", language), "Accept-Language")] = true
	}
	if len(seen) != 1 {
		t.Errorf("%d variants for one list of languages", len(seen))
	}
}

func TestDamagedVaryMatchesNothing(t *testing.T) {
	q := requestFor("/", "Foo", "1")
	v := varyOn(t, q, "Foo")
	for n := 1; n < len(v); n++ {
		if v[:n].Matches(q) {
			t.Errorf("%q, cut from %q, matches", v[:n], v)
		}
	}
	for _, s := range []Vary{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "\xff", "\x03Foo\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x80", "\x83\x80\x80\x80\x80\x80\x80\x80\x80\x02Foo\x021"} {
		if s.Matches(q) {
			t.Errorf("%q matches", s)
		}
		if names := slices.Collect(s.Names()); len(names) != 0 {
			t.Errorf("%q has the names %q", s, names)
		}
	}
}

// slowVary is a second implementation of the encoding: it appends one string at each step and
// normalises with slowNormal.
func slowVary(names []string, h http.Header) Vary {
	var v string
	for _, name := range names {
		v += string(binary.AppendUvarint(nil, uint64(len(name)))) + name
		if lines, ok := h[name]; ok {
			value := string(appendNormal(nil, name, lines))
			if name == "Cookie" {
				sum := sha256.Sum256([]byte(value))
				value = string(sum[:])
			}
			v += string(binary.AppendUvarint(nil, uint64(len(value)+1))) + value
		} else {
			v += "\x00"
		}
	}
	return Vary(v)
}

var variantFields = []string{"Accept", "Accept-Encoding", "Accept-Language", "Cookie", "Foo", "User-Agent"}

func drawVariantHeader(t *rapid.T, label string) http.Header {
	part := rapid.SampledFrom([]string{"a", "B", "b", ",", ", ", " ", "\t", `"`, `\`, ";", ";q=0.5", ";q=0", ";q=1.0", ";Q=1", "; q=x", "*", "en", "-", "="})
	line := rapid.Map(rapid.SliceOfN(part, 0, 8), func(p []string) string { return trimOWS(strings.Join(p, "")) })
	h := http.Header{}
	for _, name := range variantFields {
		if lines := rapid.SliceOfN(line, 0, 3).Draw(t, label+name); len(lines) > 0 {
			h[name] = lines
		}
	}
	return h
}

func TestVaryMatchesIffValuesNormaliseEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawVariantHeader(t, "a"), drawVariantHeader(t, "b")
		names := rapid.SliceOfNDistinct(rapid.SampledFrom(variantFields), 0, 2, rapid.ID[string]).Draw(t, "names")
		v, ok := (&Rules{}).MakeVary(&Request{Header: a}, http.Header{"Vary": names})
		slices.Sort(names)
		if !ok || v != slowVary(names, a) {
			t.Fatalf("MakeVary = %q, want %q", v, slowVary(names, a))
		}
		if got, want := v.Matches(&Request{Header: b}), v == slowVary(names, b); got != want {
			t.Fatalf("%q matches %q: %v", v, b, got)
		}
		if !v.Matches(&Request{Header: a}) {
			t.Fatalf("%q doesn't match its own request %q", v, a)
		}
		if got := slices.Collect(v.Names()); !slices.Equal(got, names) {
			t.Fatalf("names %q, want %q", got, names)
		}
	})
}

// checkNormal tests the two properties that Matches relies on: normalising a normal form does not
// change it, and the number of lines makes no difference.
func checkNormal(t interface {
	Helper()
	Fatalf(string, ...any)
}, name string, lines []string) {
	t.Helper()
	once := string(appendNormal(nil, name, lines))
	if again := string(appendNormal(nil, name, []string{once})); again != once {
		t.Fatalf("%s: %q becomes %q, and that %q", name, lines, once, again)
	}
	separator := ", "
	if name == "Cookie" {
		separator = "; "
	}
	if joined := string(appendNormal(nil, name, []string{strings.Join(lines, separator)})); joined != once {
		t.Fatalf("%s: %q becomes %q in lines and %q joined", name, lines, once, joined)
	}
	if prefixed := string(appendNormal([]byte(" ,"), name, lines)); prefixed != " ,"+once {
		t.Fatalf("%s: %q becomes %q behind a prefix", name, lines, prefixed)
	}
}

func TestNormalFormIsItsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for name, lines := range drawVariantHeader(t, "") {
			checkNormal(t, name, lines)
		}
	})
}

func FuzzVaryKey(f *testing.F) {
	for _, s := range []string{"gzip, br;q=0.5", `a , "b , c`, "en;q=0.5,de;q=1.000", "text/HTML;p=\"A, b\" , */*;q=0.1", ",,", "*", "a\x00b", "\xff\xfe", "a; b=c; d"} {
		f.Add(s, "", s, "Foo, Accept-Language")
		f.Add(s, s, "x", "accept, cookie, *")
	}
	f.Fuzz(func(t *testing.T, one, two, other, vary string) {
		r := &Rules{Route: "r", KeyHeaders: []string{"Foo"}, KeyCookies: []string{"a"}}
		asked := &Request{Method: "GET", Scheme: "http", Host: "h", Path: "/" + one, RawQuery: two, Header: http.Header{}}
		for _, name := range variantFields {
			asked.Header[name] = []string{trimOWS(one), trimOWS(two)}
			checkNormal(t, name, asked.Header[name])
		}
		again := *asked
		again.Header = http.Header{"Foo": {other}}
		ka, _ := r.Key(asked)
		if kb, _ := r.Key(&again); ka.Full != slowKey(r, asked) || kb.Full != slowKey(r, &again) || (ka == kb) != (parts(r, asked) == parts(r, &again)) {
			t.Fatalf("keys %q and %q", ka.Full, kb.Full)
		}
		v, ok := r.MakeVary(asked, http.Header{"Vary": {vary}})
		if !ok {
			return
		}
		if !v.Matches(asked) {
			t.Fatalf("%q doesn't match its own request", v)
		}
		back, _ := r.MakeVary(&again, http.Header{"Vary": {vary}})
		if v.Matches(&again) != (v == back) {
			t.Fatalf("%q and %q", v, back)
		}
		Vary(one).Matches(asked) // whatever the bytes are
	})
}

// TestCredentialsAreNotKept checks that no credential is in a key or a Vary, since stores hold
// both, and that credentials still distinguish requests.
func TestCredentialsAreNotKept(t *testing.T) {
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Api-Key", "X-Api-Key", "X-Access-Token", "X-Auth-Token"} {
		r := &Rules{Route: "r", KeyHeaders: []string{name}}
		asked, other := requestFor("/", name, "secret-1"), requestFor("/", name, "secret-2")
		v := varyOn(t, asked, name)
		if k := mustKey(t, r, asked); strings.Contains(k.Full, "secret") || strings.Contains(string(v), "secret") {
			t.Errorf("%s: key %q, Vary %q", name, k.Full, v)
		} else if k == mustKey(t, r, other) {
			t.Errorf("%s: one key for two values", name)
		}
		s, _, _ := v.next()
		if !v.Matches(asked) || v.Matches(other) || v.Matches(requestFor("/", name, s.value)) {
			t.Errorf("%s: %q matches its own request %v, another %v, and its own digest %v", name, v, v.Matches(asked), v.Matches(other),
				v.Matches(requestFor("/", name, s.value)))
		}
	}
}

func TestMatchesAllocatesNothing(t *testing.T) {
	stored := requestFor("/", "Accept-Language", "de-CH,de;q=0.9", "Accept", "text/html, */*;q=0.8", "X-Plan", "pro", "Cookie", "sid=1; a=2")
	v := varyOn(t, stored, "Accept-Language, Accept, X-Plan, Cookie, X-None")
	for name, q := range map[string]*Request{
		"same":    stored,
		"respelt": requestFor("/", "Accept-Language", "de;q=0.90 , de-ch", "Accept", "text/html,*/*;q=0.8", "X-Plan", "pro", "Cookie", "sid=1", "Cookie", "a=2"),
		"other":   requestFor("/", "Accept-Language", "de-CH,de;q=0.9", "Accept", "text/html, */*;q=0.8", "X-Plan", "free"),
	} {
		if got := v.Matches(q); got != (name != "other") {
			t.Errorf("%s: matches %v", name, got)
		}
		if got := testing.AllocsPerRun(100, func() { v.Matches(q) }); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

func BenchmarkVaryMatches(b *testing.B) {
	q := requestFor("/", "Accept-Language", "de-CH, de;q=0.9", "X-Plan", "pro")
	v := varyOn(b, q, "Accept-Language, X-Plan")
	b.ReportAllocs()
	for b.Loop() {
		if !v.Matches(q) {
			b.Fatal("no match")
		}
	}
}
