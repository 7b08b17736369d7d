package cachepolicy

import (
	"slices"
	"strings"
)

// KeyQuery returns the query that is part of the key. If the rules leave parameters out or sort
// them, the route sends this same query to its origin, so that no parameter outside the key can
// influence the answer. Without such rules the result is the query as sent, byte for byte.
//
// Parameters are separated only by "&", and their names are matched percent-decoded, as the origin
// reads them. A parameter stays in if it can be read in two ways: if it has a ";", which some
// origins treat as a separator, or if the percent-encoding of its name is broken.
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
	// Sorting must keep the order of a name's values. If a ";" occurs, the names are ambiguous, so
	// the query keeps its order.
	if r.QuerySort && !strings.Contains(raw, ";") {
		slices.SortStableFunc(params, func(a, b string) int { return strings.Compare(paramName(a), paramName(b)) })
	}
	return joinUnlessEqual(raw, params)
}

// selectsQuery reports whether the rules can leave a parameter out.
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
	ParamAmbiguous                  // it has a ";", which some origins treat as a separator, so it stays in
	ParamBroken                     // the percent-encoding of its name is broken, so it stays in
	ParamExcluded                   // a pattern of QueryExclude names it
	ParamUnlisted                   // no pattern of QueryInclude names it
)

// Kept reports whether the parameter is part of the key.
func (f ParamFate) Kept() bool { return f < ParamExcluded }

// paramFate decides about a parameter, name and value as sent. pattern is the pattern that decided,
// or "" if no pattern did.
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

// paramName returns the decoded name of a parameter, or the name as sent if its encoding is broken.
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

// hexDigit returns the value of a hexadecimal digit, and 255 for any other byte.
func hexDigit(c byte) byte {
	switch c = lowerByte(c); {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// joinUnlessEqual joins params with "&". It returns raw itself, without an allocation, if the
// result would be equal.
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

// matching returns the first of the patterns that matches name.
func matching(patterns []string, name string) (pattern string, ok bool) {
	for _, p := range patterns {
		if matchGlob(p, name) {
			return p, true
		}
	}
	return "", false
}

// matchGlob reports whether pattern matches all of s. "*" stands for any number of bytes, and every
// other byte for itself. Only the last star is retried, so the product of the lengths bounds the
// time.
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
