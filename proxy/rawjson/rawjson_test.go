package rawjson

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	for _, good := range []string{
		`null`, ` true `, `-0.0e+10`, `123456789012345678901234567890`, `"\u00e9\ud83d\ude00\n"`, `[]`, `{}`, `[1,[2,{"a":[]}]]`,
		`"\ud800"`, `"\udc00"`, `"\ud800\u0041"`, `"\udc00\ud800"`, `{"a":1,"a":2}`, `{"\ud83d":1}`, `{"a":1,"b":{"a":2}}`, `{"":0}`, "{\n\t\"a\" : [ 1 , 2 ]\r\n}", deep, `"` + "\u2028\x7f" + `"`,
	} {
		if err := Check([]byte(good)); err != nil {
			t.Errorf("%.40s: %v", good, err)
		}
	}
	for bad, what := range map[string]string{
		``: "value", `nul`: "value", `NaN`: "value", `Infinity`: "value", `+1`: "value", `01`: "follows", `1.`: "digit", `.5`: "value", `1e`: "digit", `-`: "digit",
		`"a`: "end", "\"a\nb\"": "control", `"\x"`: "escape", `"\u12g4"`: "hexadecimal",
		"\"\xff\"": "UTF-8", "\"\xed\xa0\x80\"": "UTF-8", `[1,]`: "value", `[1 2]`: "comma", `{"a":1,}`: "name", `{"a" 1}`: "colon", `{a:1}`: "name", `{"a":1 "b":2}`: "comma",
		`1 2`: "follows", `[` + deep + `]`: "deep", `{"a":1}}`: "follows", "\ufeff1": "value", `'a'`: "value",
	} {
		if err := Check([]byte(bad)); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%.40s: %v, want %q", bad, err, what)
		}
	}
}

// A hundred thousand opening brackets must use little stack.
func TestCheckBoundsNesting(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", 1e5), strings.Repeat(`{"a":`, 1e5)} {
		if err := Check([]byte(text)); err == nil || !strings.Contains(err.Error(), "deep") {
			t.Errorf("%v", err)
		}
	}
}

func TestPaths(t *testing.T) {
	const text = ` {"user":{"id":12345678901234567890,"tags":["a","b"],"a\u002eb":1},"orders":[{"id":"x","lines":[{"n":1},{"n":2}]},{"lines":[]},{"id":null,"lines":[{"n":3}]}]} `
	for path, want := range map[string][]string{
		"user.id": {"12345678901234567890"}, "user.tags.1": {`"b"`}, "user.tags.2": nil, "user.name": nil, "user.id.x": nil,
		"orders.#.id": {`"x"`, "<none>", "null"}, "orders.#.lines.#.n": {"1", "2", "3"}, "user.#": nil, "user.tags.#": {`"a"`, `"b"`}, "orders.0.lines.1.n": {"2"},
		"user.tags": {`["a","b"]`}, "user.tags.-1": nil, "user.tags.01": {`"b"`},
	} {
		p, err := ParsePath(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		found, ok := p.All([]byte(text))
		if ok != (want != nil) {
			t.Errorf("%s: ok %v", path, ok)
		}
		var got []string
		for _, v := range found {
			if v == nil {
				got = append(got, "<none>")
				continue
			}
			got = append(got, string(v))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	for _, bad := range []string{".", "a.", ".a", "a b", "a..b", `a"`, "{a}", strings.Repeat("a.", 40) + "a"} {
		if _, err := ParsePath(bad); err == nil {
			t.Errorf("%q is read as a path", bad)
		}
	}
}

func TestScalar(t *testing.T) {
	for value, want := range map[string]string{`"a\u00e9\ud83d\ude00\/\t"`: "aé😀/\t", `1.50`: "1.50", `true`: "true", ` 7 `: "7"} {
		if got, ok := Scalar([]byte(value)); !ok || got != want {
			t.Errorf("%s: %q", value, got)
		}
	}
	for _, value := range []string{`null`, `{}`, `[]`, ``} {
		if _, ok := Scalar([]byte(value)); ok {
			t.Errorf("%s is taken for a single value", value)
		}
	}
}

// FuzzCheck compares Check with encoding/json, which accepts more, and compares the parts of a text
// with those of encoding/json.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2,{"b":"\u00e9"}],"c":null}`, `[1.0e5,"x",true]`, `"\ud83d\ude00"`, `{"a":{"a":{}}}`, ` [ ] `, `{"a":1,"a":2}`} {
		f.Add([]byte(seed), "a.#.b")
	}
	f.Fuzz(func(t *testing.T, text []byte, path string) {
		if Check(text) != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q passes, and is not JSON", text)
		}
		var want any
		if json.Unmarshal(text, &want) != nil {
			return // a number beyond float64
		}
		var got any
		if err := json.Unmarshal(rebuild(text), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q taken apart and put together is %q: %v", text, rebuild(text), err)
		}
		if p, err := ParsePath(path); err == nil {
			found, _ := p.All(text)
			for _, v := range found {
				if v != nil && (Check(v) != nil || !bytes.Contains(text, v)) {
					t.Fatalf("%s leads to %q", path, v)
				}
			}
		}
	})
}

// rebuild takes a value apart and joins it again.
func rebuild(value []byte) []byte {
	var out []byte
	switch Kind(value) {
	case '{':
		out = append(out, '{')
		for name, v := range Members(value) {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(append(AppendQuoted(out, name), ':'), rebuild(v)...)
		}
		return append(out, '}')
	case '[':
		out = append(out, '[')
		for v := range Elements(value) {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, rebuild(v)...)
		}
		return append(out, ']')
	case '"':
		text, _ := Scalar(value)
		return AppendQuoted(nil, text)
	}
	return Trim(value)
}
