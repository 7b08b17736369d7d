package config

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// timedDirectives lists the response directives that take a number of seconds (RFC 9111 section
// 5.2.2, RFC 5861).
var timedDirectives = []string{"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"}

// bareDirectives lists the response directives without a number (RFC 9111 section 5.2.2, RFC 8246).
var bareDirectives = []string{
	"public", "private", "no-cache", "no-store", "no-transform", "must-revalidate", "proxy-revalidate", "must-understand", "immutable",
}

// readCacheControl reads the value that a rule sets. It allows unknown directives, as RFC 9111
// section 5.2.3 requires, unless they differ in one letter from a known one. Such a directive is a
// typing error, and here it would cause stale or uncached pages.
func readCacheControl(s string) (string, *problem) {
	if strings.TrimSpace(s) == "" || !httpguts.ValidHeaderFieldValue(s) {
		return "", not(`such as "public, max-age=300"`)
	}
	if strings.ContainsAny(s, "{}") {
		return "", problemf("a Cache-Control value has no placeholders").or(`such as "public, max-age=300"`)
	}
	for _, part := range splitDirectives(s) {
		name, value, hasValue := strings.Cut(strings.TrimSpace(part), "=")
		if p := checkDirective(strings.ToLower(name), value, hasValue); p != nil {
			return "", p
		}
	}
	return strings.TrimSpace(s), nil
}

// splitDirectives splits s at the commas outside quotes.
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
		return problemf("%q is not a Cache-Control directive", clip(name))
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
