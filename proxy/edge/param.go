package edge

import (
	"net/url"
	"strings"
)

// Param returns the number of parameters with the given name in a query, and the value of the last
// one. It reads names and values as origins do, without escapes. It allocates only for escapes.
func Param(query, name string) (value string, count int) {
	for part := range strings.SplitSeq(query, "&") {
		if n, v, _ := strings.Cut(part, "="); unescaped(n) == name {
			value = unescaped(v)
			count++
		}
	}
	return value, count
}

// WithoutParam returns a query without the parameters of the given name. The others stay as they
// are.
func WithoutParam(query, name string) string {
	if _, count := Param(query, name); count == 0 {
		return query
	}
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		if n, _, _ := strings.Cut(part, "="); unescaped(n) != name {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "&")
}

// unescaped returns a name or value as an origin reads it, or unchanged if its escapes are broken.
func unescaped(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}
