package aggregate

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/penstock/penstock/proxy/rawjson"
	"pgregory.net/rapid"
)

// drawObject draws an object over few names, so that they meet.
func drawObject(t *rapid.T, depth int) map[string]any {
	m := make(map[string]any)
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "ä", `q"`, "d"}), 0, 3, rapid.ID).Draw(t, "names") {
		if depth > 0 && rapid.Bool().Draw(t, "nest") {
			m[name] = drawObject(t, depth-1)
		} else {
			m[name] = rapid.SampledFrom([]any{1.5, "x", nil, true, []any{1.0}}).Draw(t, "value")
		}
	}
	return m
}

// unite is Deep on decoded values: the slow twin. It reports whether two parts meet.
func unite(to, from map[string]any) (conflict bool) {
	for name, v := range from {
		old, there := to[name]
		a, okA := old.(map[string]any)
		b, okB := v.(map[string]any)
		switch {
		case !there && okB:
			fresh := make(map[string]any)
			unite(fresh, b)
			to[name] = fresh
		case !there:
			to[name] = v
		case !okA || !okB || unite(a, b):
			return true
		}
	}
	return false
}

func TestDeepMergesWhatItsTwinMerges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, conflict := make(map[string]any), false
		var parts []Named
		for i := range rapid.IntRange(1, 4).Draw(t, "parts") {
			m := drawObject(t, 3)
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, Named{fmt.Sprintf("p%d", i), text})
			conflict = conflict || unite(want, m)
		}
		body, c := Deep(parts)
		if (c != nil) != conflict {
			t.Fatalf("%v, and the twin says %v", c, conflict)
		}
		if c != nil {
			return
		}
		if err := rawjson.Check(body, 10); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var got map[string]any
		if err := json.Unmarshal(body, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s is not %v (%v)", body, want, err)
		}
	})
}

// TestNamespaceKeepsBytes has every value come out as it went in.
func TestNamespaceKeepsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.SampledFrom([]string{"1.50", "1e400", `"\u00e4"`, "null", `{"b":1, "a":2}`, "[ ]", ""}), 1, 6).Draw(t, "values")
		var parts []Named
		want := make(map[string]string)
		for i, v := range values {
			name := fmt.Sprintf("p%d", i)
			if v == "" {
				parts = append(parts, Named{name, nil})
				continue
			}
			parts = append(parts, Named{name, []byte(v)})
			want[name] = v
		}
		body := Namespace(parts)
		if err := rawjson.Check(body, 4); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		n := 0
		for name, value := range rawjson.Members(body) {
			if want[rawjson.Text(name)] != string(value) {
				t.Fatalf("%s: %s", name, value)
			}
			n++
		}
		if n != len(want) {
			t.Fatalf("%d of %d", n, len(want))
		}
	})
}

// FuzzDeep merges any two documents: it keeps to JSON, or says where they meet.
func FuzzDeep(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1}}`), []byte(`{"a":{"c":[2]},"d":null}`))
	f.Add([]byte(`{"a":1}`), []byte(`{"\u0061":1}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if rawjson.Check(a, 50) != nil || rawjson.Check(b, 50) != nil {
			return
		}
		body, conflict := Deep([]Named{{"a", a}, {"b", b}})
		if conflict != nil {
			return
		}
		if err := rawjson.Check(body, 50); err != nil {
			t.Fatalf("%s and %s make %s: %v", a, b, body, err)
		}
	})
}
