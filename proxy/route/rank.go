package route

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
)

// candidate is a path pattern with a tree of its own.
type candidate struct {
	pattern string
	tree    *chi.Mux
}

// lookup returns the routes of the pattern that path matches, or nil if no pattern matches. It puts
// the captured parameters into ctx.
//
// chi lets a parameter match no text: /users/{id}/posts would match /users//posts. Here an empty
// parameter is no match. If chi's choice has an empty parameter, lookup tries the patterns one by
// one in chi's order, which is slow and rare.
func (m *hostMux) lookup(ctx *chi.Context, path string) *methods {
	set := m.patterns[m.tree.Find(ctx, http.MethodGet, path)]
	if set == nil || !capturesNothing(ctx) {
		return set
	}
	for _, c := range m.ranked() {
		if c.matches(ctx, path) {
			return m.patterns[c.pattern]
		}
	}
	ctx.Reset()
	return nil
}

// matches reports whether c's pattern matches path. It puts the captured parameters into ctx.
func (c *candidate) matches(ctx *chi.Context, path string) bool {
	ctx.Reset()
	return c.tree.Find(ctx, http.MethodGet, path) != "" && !capturesNothing(ctx)
}

// capturesNothing reports whether a parameter other than * is empty. The rest of the path, *, may
// be empty.
func capturesNothing(ctx *chi.Context) bool {
	for i, name := range ctx.URLParams.Keys {
		if name != "*" && ctx.URLParams.Values[i] == "" {
			return true
		}
	}
	return false
}

// rank sorts patterns in the order in which chi prefers them. The first difference of two patterns
// decides: fixed text goes before a parameter with an expression, such a parameter before one
// without an expression, and that before *.
func rank(patterns []string) []candidate {
	var out []candidate
	for _, p := range patterns {
		tree := chi.NewMux()
		tree.Get(p, http.NotFound)
		out = append(out, candidate{p, tree})
	}
	slices.SortFunc(out, func(a, b candidate) int { return comparePatterns(a.pattern, b.pattern) })
	return out
}

func comparePatterns(a, b string) int {
	for a != "" && b != "" {
		kindA, pieceA := firstPiece(a)
		kindB, pieceB := firstPiece(b)
		if order := cmp.Or(cmp.Compare(kindA, kindB), compareTails(a[len(pieceA):], b[len(pieceB):], kindA), strings.Compare(pieceA, pieceB)); order != 0 {
			return order
		}
		a, b = a[len(pieceA):], b[len(pieceB):]
	}
	return cmp.Compare(len(a), len(b))
}

const (
	fixedText = iota
	withExpression
	withoutExpression
	theRest
)

// firstPiece returns the first byte of fixed text, or the parameter, with which a pattern begins.
// The names of parameters do not affect the order.
func firstPiece(pattern string) (kind int, piece string) {
	switch pattern[0] {
	case '*':
		return theRest, pattern[:1]
	case '{':
		piece = pattern[:closing(pattern[1:])+2]
		if strings.Contains(piece, ":") {
			return withExpression, piece
		}
		return withoutExpression, piece
	}
	return fixedText, pattern[:1]
}

// compareTails orders two parameters by the byte that follows them, with / last, as chi does.
func compareTails(a, b string, kind int) int {
	if kind != withExpression && kind != withoutExpression {
		return 0
	}
	tail := func(s string) byte {
		if s == "" {
			return '/'
		}
		return s[0]
	}
	x, y := tail(a), tail(b)
	switch {
	case x == y:
		return 0
	case x == '/':
		return 1
	case y == '/':
		return -1
	}
	return cmp.Compare(x, y)
}
