package config

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// timedDirectives are the response directives with a number of seconds (RFC 9111 section 5.2.2, RFC 5861).
var timedDirectives = []string{"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"}

// bareDirectives are the response directives without one (RFC 9111 section 5.2.2, RFC 8246).
var bareDirectives = []string{
	"public", "private", "no-cache", "no-store", "no-transform", "must-revalidate", "proxy-revalidate", "must-understand", "immutable",
}

// readCacheControl reads the value that a rule sets. Unknown directives are allowed, as RFC 9111 section 5.2.3 wants,
// but not those one letter away from a known one: they are slips, and a slip here means stale or uncached pages.
func readCacheControl(s string) (string, *problem) {
	if strings.TrimSpace(s) == "" || !httpguts.ValidHeaderFieldValue(s) {
		return "", not(`such as "public, max-age=300"`)
	}
	for _, part := range splitDirectives(s) {
		name, value, hasValue := strings.Cut(strings.TrimSpace(part), "=")
		if p := checkDirective(strings.ToLower(name), value, hasValue); p != nil {
			return "", p
		}
	}
	return strings.TrimSpace(s), nil
}

// splitDirectives splits at the commas outside of quotes.
func splitDirectives(s string) []string {
	var out []string
	start, quoted := 0, false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

func checkDirective(name, value string, hasValue bool) *problem {
	if !isToken(name) {
		return problemf("%q is no Cache-Control directive", clip(name))
	}
	timed := slices.Contains(timedDirectives, name)
	if !timed && !slices.Contains(bareDirectives, name) {
		for _, k := range slices.Concat(timedDirectives, bareDirectives) {
			if distance(name, k) == 1 {
				return problemf("unknown directive %s", clip(name)).or("did you mean `%s`?", k)
			}
		}
	}
	if timed {
		if _, err := strconv.ParseUint(value, 10, 31); err != nil {
			return problemf("%s takes a number of seconds", name).or("such as %s=300", name)
		}
	}
	if hasValue && value == "" {
		return problemf("%s= has no value", clip(name))
	}
	return nil
}
