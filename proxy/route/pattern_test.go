package route

import (
	"net/http"
	"testing"

	"pgregory.net/rapid"
)

// TestFillIsTheInverseOfFind: what a pattern captures of a path, filled in again, is the path.
func TestFillIsTheInverseOfFind(t *testing.T) {
	patterns := []string{"/*", "/a/{id}", "/a/{id:[0-9]{1,3}}/b/{name}", "/{one}/{two}/{three}/{four}/{five}/*", "/f/{name}.json"}
	var routes []*Route
	for _, p := range patterns {
		routes = append(routes, &Route{Name: p, Path: p, Captures: true})
	}
	rt, err := New(routes)
	if err != nil {
		t.Fatal(err)
	}
	segment := rapid.SampledFrom([]string{"a", "b", "f", "7", "1234", "x.json", ".json", "%2F", "a"})
	rapid.Check(t, func(t *rapid.T) {
		path := ""
		for range rapid.IntRange(1, 8).Draw(t, "segments") {
			path += "/" + segment.Draw(t, "segment")
		}
		var p Params
		found := rt.Find("h", path, http.MethodGet, &p)
		if found.Route == nil {
			t.Fatalf("%s has no route", path)
		}
		if got := Fill(found.Route.Path, p.Captured(path)); got != path {
			t.Fatalf("%s matches %s, which makes %s of %v", path, found.Route.Path, got, p.Captured(path))
		}
	})
}

// TestParamNames lists what patterns capture.
func TestParamNames(t *testing.T) {
	for pattern, want := range map[string]int{"/": 0, "/*": 1, "/a/{id}": 1, "/a/{id:[0-9]{1,3}}/{b}/*": 3} {
		if got := ParamNames(pattern); len(got) != want {
			t.Errorf("%s captures %q", pattern, got)
		}
	}
}
