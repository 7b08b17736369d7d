package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/proxy/edge"
)

func keysOf(t testing.TB, text string) *Keys {
	t.Helper()
	keys, err := ParseKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestAPIKeys(t *testing.T) {
	sum := sha256.Sum256([]byte("hashed"))
	a := &APIKeys{Field: "X-Api-Key", Param: "k", Keys: keysOf(t, "shop one # comment\n\n# a line\r\napp sha256:"+strings.ToUpper(hex.EncodeToString(sum[:]))+"\n")}
	for _, c := range []struct {
		name, query string
		lines       []string
		subject     string
		reason      Reason
	}{
		{"a key", "", []string{"one"}, "shop", ""},
		{"a key with a digest", "", []string{"hashed"}, "app", ""},
		{"a key in the query", "a=1&k=one", nil, "shop", ""},
		{"a key in the query, with escapes", "%6B=%6Fne&b", nil, "shop", ""},
		{"no key", "a=1", nil, "", NoCredential},
		{"the digest is no key", "", []string{hex.EncodeToString(sum[:])}, "", UnknownKey},
		{"the digest as written is no key", "", []string{"sha256:" + hex.EncodeToString(sum[:])}, "", UnknownKey},
		{"the name is no key", "", []string{"shop"}, "", UnknownKey},
		{"an empty key", "", []string{""}, "", UnknownKey},
		{"an empty key in the query", "k", nil, "", UnknownKey},
		{"a part of a key", "", []string{"on"}, "", UnknownKey},
		{"a key and more", "", []string{"one "}, "", UnknownKey},
		{"too long", "", []string{strings.Repeat("x", 1<<20)}, "", UnknownKey},
		{"two lines", "", []string{"one", "one"}, "", SeveralCredentials},
		{"two parameters", "k=one&%6b=one", nil, "", SeveralCredentials},
		{"a field and a parameter", "k=one", []string{"one"}, "", SeveralCredentials},
	} {
		h := http.Header{}
		if c.lines != nil {
			h["X-Api-Key"] = c.lines
		}
		at := &edge.Located{Query: c.query, Fields: edge.HeaderFields(h)}
		v := a.Verdict(at)
		if v.Reason != c.reason || v.Subject != c.subject || a.Lets(at) != (c.reason == "") || (v.Credential == "") != (c.reason != "") {
			t.Errorf("%s: %q, let in: %v", c.name, v, a.Lets(at))
		}
		if reasonTexts[v.Reason] == "" && v.Reason != "" {
			t.Errorf("%s has no text", v.Reason)
		}
	}
}

// TestParseKeysRefuses: an error names the line and repeats nothing of it.
func TestParseKeysRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"s3cret":                                    "line 1: write a name and a key",
		"a one\nb s3cret more":                      "line 2: write a name and a key",
		"s3cret/x one":                              "line 1: the name must have letters",
		"a one\na s3cret":                           "line 2: the name a occurs twice",
		"a s3cret\nb s3cret":                        "line 2: b has the same key as a",
		"a sha256:s3cret":                           "line 1: sha256: must be followed by 64 hexadecimal digits",
		"a sha256:" + strings.Repeat("0", 65):       "line 1: sha256: must be followed by 64 hexadecimal digits",
		"a sha256:" + strings.Repeat("0", 63) + "x": "line 1: sha256: must be",
		"a s3cret\u00e9":                            "line 1: the key must be visible ASCII",
		"a s3cret" + strings.Repeat("x", MaxKey) + " # long": "line 1: the key is longer than 512 bytes",
	} {
		if _, err := ParseKeys([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestEveryWrittenKeyIsFound compares lookups with the lines of random files.
func TestEveryWrittenKeyIsFound(t *testing.T) {
	key := rapid.StringMatching(`[!-"$-~]{1,40}`)
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(key.Filter(func(s string) bool { return !strings.HasPrefix(s, digestPrefix) }), 0, 8, rapid.ID[string]).Draw(t, "keys")
		var file strings.Builder
		for i, k := range keys {
			if rapid.Bool().Draw(t, "digest") {
				sum := sha256.Sum256([]byte(k))
				k = digestPrefix + hex.EncodeToString(sum[:])
			}
			file.WriteString("k" + string(rune('a'+i)) + " \t" + k + "\n")
		}
		made, err := ParseKeys([]byte(file.String()))
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range keys {
			if found := made.find(k); found == nil || found.name != "k"+string(rune('a'+i)) {
				t.Fatalf("%q is not found in\n%s", k, file.String())
			}
		}
		if other := key.Draw(t, "other"); made.find(other) != nil {
			for _, k := range keys {
				if k == other {
					return
				}
			}
			t.Fatalf("%q is found in\n%s", other, file.String())
		}
	})
}

// FuzzParseKeys: no file of keys lets the empty key in, or makes an error that shows a key.
func FuzzParseKeys(f *testing.F) {
	for _, text := range []string{"a b", "a sha256:00\n", "#\n\ufeffa b # c", "a b\na c\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := ParseKeys(text)
		if err == nil && (keys.find("") != nil || len(keys.by) > strings.Count(string(text), "\n")+1) {
			t.Errorf("%q makes %d keys", text, len(keys.by))
		}
	})
}
