package cachepolicy

import (
	"slices"
	"strings"
)

// KeyQuery gives the query that is part of the key. A route that leaves parameters out or sorts them sends this same query to its
// origin, so that nothing can act on the answer without being in the key. Without such rules it is the query as sent, byte for byte.
//
// Parameters are split at "&" alone, and names are matched as the origin will read them, percent-decoded. Whatever can be read in
// two ways stays in: a parameter with a ";", which some origins take for a separator, and a name whose percent-encoding is broken.
func (r *Rules) KeyQuery(raw string) string {
	if raw == "" || !r.QuerySort && !r.selectsQuery() {
		return raw
	}
	var space [32]string
	params := space[:0]
	for p := range strings.SplitSeq(raw, "&") {
		if r.keepsParam(p) {
			params = append(params, p)
		}
	}
	// Sorting must keep the values of one name in order, and what the names are is in doubt where there is a ";".
	if r.QuerySort && !strings.Contains(raw, ";") {
		slices.SortStableFunc(params, func(a, b string) int { return strings.Compare(paramName(a), paramName(b)) })
	}
	return joinUnlessEqual(raw, params)
}

// selectsQuery reports whether any parameter may be left out at all.
func (r *Rules) selectsQuery() bool {
	return len(r.QueryExclude) > 0 || r.QueryInclude != nil && !slices.Contains(r.QueryInclude, "*")
}

// keepsParam reports whether a parameter, name and value as sent, is part of the key.
func (r *Rules) keepsParam(param string) bool {
	fate, _ := r.paramFate(param)
	return fate.Kept()
}

// ParamFate says whether a query parameter is part of the key, and why.
type ParamFate uint8

const (
	ParamKept      ParamFate = iota // no rule leaves it out
	ParamIncluded                   // a pattern of QueryInclude names it
	ParamAmbiguous                  // it has a ";", which some origins take for a separator: it stays in
	ParamBroken                     // its name's percent-encoding is broken: it stays in
	ParamExcluded                   // a pattern of QueryExclude names it
	ParamUnlisted                   // no pattern of QueryInclude names it
)

// Kept reports whether the parameter is part of the key.
func (f ParamFate) Kept() bool { return f < ParamExcluded }

// paramFate decides about a parameter, name and value as sent. pattern is the one that decided; "": none.
func (r *Rules) paramFate(param string) (fate ParamFate, pattern string) {
	if strings.Contains(param, ";") {
		return ParamAmbiguous, ""
	}
	name := paramName(param)
	if strings.Contains(name, "%") && name == rawName(param) {
		return ParamBroken, ""
	}
	if pattern, ok := matching(r.QueryExclude, name); ok {
		return ParamExcluded, pattern
	}
	if r.QueryInclude == nil {
		return ParamKept, ""
	}
	if pattern, ok := matching(r.QueryInclude, name); ok {
		return ParamIncluded, pattern
	}
	return ParamUnlisted, ""
}

func rawName(param string) string {
	name, _, _ := strings.Cut(param, "=")
	return name
}

// paramName is the decoded name of a parameter, or the name as sent when its encoding is broken.
func paramName(param string) string {
	name := rawName(param)
	if !strings.ContainsAny(name, "%+") {
		return name
	}
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		switch c := name[i]; c {
		case '+':
			b = append(b, ' ')
		case '%':
			if i+2 >= len(name) {
				return name
			}
			hi, lo := hexDigit(name[i+1]), hexDigit(name[i+2])
			if hi > 15 || lo > 15 {
				return name
			}
			b = append(b, hi<<4|lo)
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// hexDigit is the value of a hexadecimal digit, 255 for any other byte.
func hexDigit(c byte) byte {
	switch c = lowerByte(c); {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// joinUnlessEqual joins params with "&", without an allocation when that gives raw.
func joinUnlessEqual(raw string, params []string) string {
	rest := raw
	for i, p := range params {
		if i > 0 {
			rest = strings.TrimPrefix(rest, "&")
		}
		after, ok := strings.CutPrefix(rest, p)
		if !ok || after != "" && after[0] != '&' {
			return strings.Join(params, "&")
		}
		rest = after
	}
	if rest != "" || len(params) == 0 {
		return strings.Join(params, "&")
	}
	return raw
}

// matching gives the first of the patterns that matches name.
func matching(patterns []string, name string) (pattern string, ok bool) {
	for _, p := range patterns {
		if matchGlob(p, name) {
			return p, true
		}
	}
	return "", false
}

// matchGlob reports whether pattern matches all of s. "*" stands for any bytes, also none; every other byte for itself.
// Only the last star is ever retried, so the time is bounded by the product of the lengths.
func matchGlob(pattern, s string) bool {
	p, i := 0, 0
	star, retry := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			retry++
			p, i = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
