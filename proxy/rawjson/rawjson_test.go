package rawjson

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheck(t *testing.T) {
	for doc, ok := range map[string]bool{
		`{"a":1,"b":[1,2,{"c":null}],"d":"\u00e4\ud83d\ude00"}`: true, ` [ ] `: true, `"x"`: true, `-0.5e+10`: true, `12345678901234567890123`: true, `1e999`: true,
		`[{"a":1},{"a":2}]`: true,
		``:                  false, ` `: false, `{`: false, `[1,]`: false, `{"a":1,}`: false, `{"a" 1}`: false, `{a:1}`: false, `01`: false, `1.`: false, `.5`: false, `+1`: false, `1e`: false, `-`: false,
		`NaN`: false, `Infinity`: false, `-Infinity`: false, `nul`: false, `1 2`: false, `"\x"`: false, `"\u12g4"`: false, "\"\n\"": false, "\"\xff\"": false, `"\ud800"`: false,
		`"\ud800\u0041"`: false, `"\udc00"`: false, `"\ud83d"`: false, "\ufeff{}": false, `{"a":1,"a":2}`: false, `{"a":1,"\u0061":2}`: false, `[{"x":{"y":1,"y":1}}]`: false,
	} {
		if err := Check([]byte(doc), 10); (err == nil) != ok {
			t.Errorf("%s: %v", doc, err)
		}
	}
	if Check([]byte(strings.Repeat("[", 11)+strings.Repeat("]", 11)), 10) == nil || Check([]byte(strings.Repeat("[", 10)+strings.Repeat("]", 10)), 10) != nil {
		t.Error("the depth is not what was said")
	}
	many := make([]string, 40)
	for i := range many {
		many[i] = `"n` + strings.Repeat("x", i) + `":1`
	}
	if err := Check([]byte("{"+strings.Join(many, ",")+"}"), 2); err != nil {
		t.Error(err)
	}
	if Check([]byte("{"+strings.Join(append(many, many[3]), ",")+"}"), 2) == nil {
		t.Error("a name that is there twice among many was not seen")
	}
}

func TestSelect(t *testing.T) {
	doc := []byte(`{"a":{"b":[ {"c":1.0},{"d":2},{"c":"x"} ],"x.y":null},"0":"zero","é":true}`)
	for path, want := range map[string]string{
		"": string(doc), "a.b.0.c": "1.0", "a.b.#.c": `[1.0,"x"]`, "a.b.1": `{"d":2}`, `a.x\.y`: "null", "0": `"zero"`, "é": "true", "a.b.#": `[{"c":1.0},{"d":2},{"c":"x"}]`,
		"a.b.#.z": "[]", "z": "", "a.b.3": "", "a.b.x": "", "a.#": "", "0.x": "",
	} {
		p, err := ParsePath(path)
		if err != nil {
			t.Fatal(path, err)
		}
		if got, ok := p.Select(doc); string(got) != want || ok != (want != "") {
			t.Errorf("%s: %s %v", path, got, ok)
		}
	}
	for _, path := range []string{".", "a.", ".a", "a..b", `a\`, "a\n"} {
		if _, err := ParsePath(path); err == nil {
			t.Errorf("%q was taken", path)
		}
	}
}

// TestTheBytesAreKept holds walking against encoding/json, which says what the values are.
func TestTheBytesAreKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), rapid.OneOf(rapid.Float64().AsAny(), rapid.String().AsAny(), rapid.SliceOf(rapid.Int()).AsAny())).Draw(t, "object")
		doc, err := json.Marshal(m)
		if err != nil {
			t.Skip()
		}
		if err := Check(doc, 3); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatal(err)
		}
		n := 0
		for name, value := range Members(doc) {
			if string(want[Text(name)]) != string(value) {
				t.Fatalf("%s is %s, not %s", name, value, want[Text(name)])
			}
			n++
		}
		if n != len(want) {
			t.Fatalf("%d of %d", n, len(want))
		}
	})
}

// FuzzCheck holds Check against encoding/json: what passes, that reads as well; and nothing else here panics on it, or on what does not pass.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,"\ud83d\ude00"]}`, `[{"a":1},{"a":2}]`, `{"a":1,"a":2}`, `"\ud800"`, "1e400", "[[[[", `{"x":{"y":[null,true]}}`} {
		f.Add([]byte(s), "a.#.b")
	}
	f.Fuzz(func(t *testing.T, doc []byte, path string) {
		err := Check(doc, 100)
		if err == nil && !json.Valid(doc) {
			t.Fatalf("%q passes, and is no JSON", doc)
		}
		p, perr := ParsePath(path)
		if perr != nil {
			return
		}
		got, ok := p.Select(doc)
		if err != nil || !ok {
			return
		}
		if cerr := Check(got, 101); cerr != nil {
			t.Fatalf("%s of %s is %s: %v", path, doc, got, cerr)
		}
		var each [][]byte
		p.Each(doc, func(v []byte) bool { each = append(each, v); return true })
		if !p.Many() && (len(each) != 1 || string(each[0]) != string(got)) {
			t.Fatalf("%s of %s: %q and %q", path, doc, got, each)
		}
		if p.Many() && !slices.EqualFunc(slices.Collect(Elements(got)), each, func(a, b []byte) bool { return string(a) == string(b) }) {
			t.Fatalf("%s of %s: %q and %q", path, doc, got, each)
		}
	})
}
