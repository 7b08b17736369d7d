package config

import (
	"slices"
	"testing"
)

// TestPartsKeepTheirOrder holds the file's order of parts, through Print as well.
func TestPartsKeepTheirOrder(t *testing.T) {
	c, err := parseFile(t, "testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(c.Routes, func(r *Route) bool { return r.Aggregate != nil })
	parts := c.Routes[i].Aggregate.Parts
	for place, name := range []string{"user", "orders", "payments", "manager", "items"} {
		if parts[name] == nil || parts[name].Place != place {
			t.Errorf("%s is not in place %d", name, place)
		}
	}
	if got := parts["orders"].Default; got != `{"list":[],"total":1.50,"note":"$5","none":null}` {
		t.Errorf("default: %s", got)
	}
	if parts["manager"].OnError != OnErrorNull || parts["items"].Limit != 50 {
		t.Errorf("%+v %+v", parts["manager"], parts["items"])
	}
}

func TestJSONOfYAML(t *testing.T) {
	for text, want := range map[string]string{
		"1.50": "1.50", "'1.50'": `"1.50"`, "null": "null", "~": "null", "true": "true", "yes": `"yes"`, "007": `"007"`, "[1, {a: b}]": `[1,{"a":"b"}]`, `"a\"b\n"`: `"a\"b\u000a"`, "{}": "{}", "1e400": "1e400",
	} {
		src := "version: 1\nupstreams: {w: {targets: [\"http://x\"]}}\nroutes: [{name: a, match: {path: /a, methods: [GET]}, aggregate: {parts: {p: {upstream: w, path: /, on_error: default, default: " + text + "}}}}]"
		c, err := Parse("x.yaml", []byte(src), nil, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := c.Routes[0].Aggregate.Parts["p"].Default; string(got) != want {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
	}
}
