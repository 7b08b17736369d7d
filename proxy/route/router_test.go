package route

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
)

// TestRankIsTheOrderOfTheTree compares the first pattern of rank that matches with the choice of
// chi's tree, for sets of patterns and paths that are drawn at random.
func TestRankIsTheOrderOfTheTree(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "ab", "b", "{x}", "{x:a+}", "{x:[ab]+}", "{x}.b", "a{x}", "{x:a+}b", "{x}-a"}
	segments := []string{"a", "ab", "b", "aab", "a.b", "b-a", "aa", ".b", ""}
	compared := 0
	for range 4_000 {
		m := &hostMux{tree: chi.NewMux(), patterns: make(map[string]*methods)}
		var patterns []string
		for range 1 + random.IntN(6) {
			p := drawPattern(random, pieces)
			if m.patterns[p] == nil && !conflicts(p, patterns) {
				m.patterns[p] = &methods{}
				patterns = append(patterns, p)
				m.tree.Get(p, http.NotFound)
			}
		}
		path := ""
		for range 1 + random.IntN(4) {
			path += "/" + segments[random.IntN(len(segments))]
		}
		ctx := chi.NewRouteContext()
		want := m.tree.Find(ctx, http.MethodGet, path)
		if capturesNothing(ctx) {
			continue // of which chi makes something else
		}
		got := ""
		for _, c := range rank(patterns) {
			if c.matches(ctx, path) {
				got = c.pattern
				break
			}
		}
		compared++
		if got != want {
			t.Fatalf("%s among %v: rank prefers %q, and chi %q", path, patterns, got, want)
		}
	}
	if compared < 2_000 {
		t.Errorf("only %d choices were compared", compared)
	}
}

func drawPattern(random *rand.Rand, pieces []string) string {
	p := ""
	for i := range 1 + random.IntN(3) {
		piece := pieces[random.IntN(len(pieces))]
		p += "/" + strings.ReplaceAll(piece, "x", string(rune('p'+i)))
	}
	if random.IntN(3) == 0 {
		p += "/*"
	}
	return p
}

// conflicts reports whether two patterns would differ in the expression of a parameter at one
// place: chi tries those in the order in which they were added.
func conflicts(p string, patterns []string) bool {
	for _, other := range patterns {
		for a, b := p, other; a != "" && b != ""; {
			kindA, pieceA := firstPiece(a)
			kindB, pieceB := firstPiece(b)
			if pieceA != pieceB {
				if kindA == withExpression && kindB == withExpression {
					return true
				}
				break
			}
			a, b = a[len(pieceA):], b[len(pieceB):]
		}
	}
	return false
}

func TestEmptyParameterIsNoMatch(t *testing.T) {
	var routes []*Route
	for _, p := range []string{"/", "/users/{id}", "/users/{id}/posts", "/users/{id}/*", "/files/{name}.json", "/files/{name}", "/n/{n:[0-9]+}/x", "/x/*"} {
		routes = append(routes, &Route{Name: p, Path: p})
	}
	rt, err := New(routes)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/users/7": "/users/{id}", "/users/7/posts": "/users/{id}/posts", "/users/7//other": "/users/{id}/*", "/users/7/": "/users/{id}/*",
		"/users/": "", "/users//posts": "", "/users//": "", "/n//x": "", "/n/1/x": "/n/{n:[0-9]+}/x", "/n/a/x": "",
		"/files/a.json": "/files/{name}.json", "/files/.json": "/files/{name}", "/x/": "/x/*", "/x//": "/x/*", "/x///a//": "/x/*", "//": "", "/x": "",
	} {
		got := ""
		if r := rt.Find("a.test", path, http.MethodGet, nil).Route; r != nil {
			got = r.Name
		}
		if got != want {
			t.Errorf("%s came to %q, want %q", path, got, want)
		}
		for _, r := range routes {
			if r.Name == want && !r.matchesPath(path) || want == "" && r.matchesPath(path) {
				t.Errorf("%s: explain says %v of %s", path, r.matchesPath(path), r.Path)
			}
		}
	}
}

// TestFormOfThePath holds which form of a path with empty segments the router takes.
func TestFormOfThePath(t *testing.T) {
	rt, err := New([]*Route{
		{Name: "all", Path: "/*"},
		{Name: "admin", Path: "/admin/*"},
		{Name: "merged", Path: "/merged/*", Merges: true},
		{Name: "write", Path: "/form/*", Methods: []string{"POST"}, Merges: true},
		{Name: "read", Path: "/form/*", Methods: []string{"GET"}},
		{Name: "only", Path: "/only", Host: "b.test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ method, host, path, route, form string }{
		{"GET", "a.test", "/a//b", "all", "/a//b"},
		{"GET", "a.test", "//", "all", "//"},
		{"GET", "a.test", "/admin//a", "admin", "/admin//a"},
		{"GET", "a.test", "/admin//", "admin", "/admin//"},
		{"GET", "a.test", "//admin", "all", "//admin"}, // as /admin is
		{"GET", "a.test", "//admin/", "", ""},
		{"GET", "a.test", "//admin//a", "", ""},
		{"GET", "a.test", "//merged//a/", "merged", "/merged/a/"},
		{"GET", "a.test", "/merged//", "merged", "/merged/"},
		{"GET", "a.test", "/form//a", "read", "/form//a"},
		{"POST", "a.test", "/form//a", "write", "/form/a"},
		{"POST", "a.test", "//form/a", "write", "/form/a"},
		{"GET", "a.test", "//form/a", "", ""},
		{"PUT", "a.test", "//form/a", "", ""}, // which /form/a does not take
		{"GET", "b.test", "//only", "", ""},
		{"GET", "b.test", "/only//", "all", "/only//"},
	} {
		found := rt.Find(tt.host, tt.path, tt.method, nil)
		switch {
		case tt.route == "" && (found.Route != nil || found.Miss == Matched):
			t.Errorf("%s %s%s: %v, and not refused", tt.method, tt.host, tt.path, found.Route)
		case tt.route == "":
		case found.Route == nil || found.Route.Name != tt.route || found.Path != tt.form:
			t.Errorf("%s %s%s: %+v, want %s with %s", tt.method, tt.host, tt.path, found, tt.route, tt.form)
		}
	}
}
