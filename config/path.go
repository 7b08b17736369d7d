package config

import (
	"regexp"
	"slices"
	"strings"
)

// segment is a piece of a path pattern: fixed text, a parameter or the * at the end.
type segment struct {
	text  string // fixed text; "" for a parameter or *
	param string // the parameter's name, or * for the rest of the path
	expr  string // the parameter's expression; "": any text within one path segment
}

// parsePattern parses a path pattern by the rules of the router, which panics if a pattern breaks
// them.
func parsePattern(s string) ([]segment, *problem) {
	if !strings.HasPrefix(s, "/") {
		return nil, not("it must begin with /")
	}
	var out []segment
	for rest := s; rest != ""; {
		var next segment
		var p *problem
		switch rest[0] {
		case '{':
			next, rest, p = parseParam(rest)
		case '*':
			next, rest, p = parseRest(rest, out)
		default:
			end := strings.IndexAny(rest, "{*")
			if end < 0 {
				end = len(rest)
			}
			next, rest = segment{text: rest[:end]}, rest[end:]
			p = checkFixed(next.text)
		}
		if p != nil {
			return nil, p
		}
		if p := follows(out, next); p != nil {
			return nil, p
		}
		out = append(out, next)
	}
	return out, nil
}

// parseParam reads {name} or {name:expression} with balanced braces.
func parseParam(s string) (next segment, rest string, p *problem) {
	depth, end := 0, -1
	for i := 0; i < len(s) && end < 0; i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				end = i
			}
		}
	}
	if end < 0 {
		return next, "", problemf("{ has no closing }")
	}
	name, expr, hasExpr := strings.Cut(s[1:end], ":")
	next, rest = segment{param: name, expr: expr}, s[end+1:]
	switch {
	case !variableName.MatchString(name):
		return next, rest, problemf("{%s} is not a parameter", clip(name)).or("such as {id} or {id:[0-9]+}")
	case hasExpr && expr == "":
		return next, rest, problemf("{%s:} has no expression", clip(name)).or("{%s} matches anything within one segment", clip(name))
	}
	if _, err := regexp.Compile(expr); err != nil {
		return next, rest, problemf("the expression of {%s} is invalid: %s", clip(name), clip(err.Error()))
	}
	return next, rest, nil
}

// parseRest reads the * at the end.
func parseRest(s string, before []segment) (segment, string, *problem) {
	switch {
	case s != "*":
		return segment{}, "", problemf("* is allowed only at the end").or("a {name} matches one path segment")
	case len(before) == 0 || !strings.HasSuffix(before[len(before)-1].text, "/"):
		return segment{}, "", problemf("* must follow a /").or("such as /static/*")
	}
	return segment{param: "*"}, "", nil
}

// follows checks a piece against the pieces before it.
func follows(before []segment, next segment) *problem {
	if next.param == "" || len(before) == 0 {
		return nil
	}
	if before[len(before)-1].param != "" {
		return problemf("{%s} directly follows a parameter", clip(next.param)).or("there must be text between them")
	}
	if slices.ContainsFunc(before, func(s segment) bool { return s.param == next.param }) {
		return problemf("{%s} occurs twice", clip(next.param))
	}
	return nil
}

// checkFixed accepts only the canonical form of a path's fixed text, since no request matches any
// other. Only * matches empty segments of a client's path.
func checkFixed(s string) *problem {
	padded := s + "/"
	switch {
	case strings.Contains(s, "//"):
		return problemf("a path in the configuration must not have empty segments (//)")
	case strings.Contains(padded, "/./"), strings.Contains(padded, "/../"):
		return problemf("a path must not have the segments `.` and `..`")
	case strings.ContainsAny(s, "?#"):
		return problemf("a path must not have a query or a fragment")
	case strings.ContainsRune(s, '}'):
		return problemf("} has no opening {")
	}
	return checkEscapes(s)
}

// checkEscapes refuses characters that must be percent-encoded in a path, and invalid encodings.
func checkEscapes(s string) *problem {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return problemf("%% must be followed by two hexadecimal digits in upper case")
			}
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`|", c) >= 0:
			return problemf("write this character as %%%02X in a path", c)
		}
	}
	return nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F'
}

func readPattern(s string) (string, *problem) {
	_, p := parsePattern(s)
	return s, p
}

// shapeOf returns the pattern without the names of parameters. Two patterns with the same shape
// match the same paths.
func shapeOf(pattern string) string {
	parts, _ := parsePattern(pattern)
	var b strings.Builder
	for _, s := range parts {
		switch {
		case s.text != "":
			b.WriteString(s.text)
		case s.param == "*":
			b.WriteString("*")
		default:
			b.WriteString("{" + s.expr + "}")
		}
	}
	return b.String()
}

// readPathPrefix reads a prefix that is added to a path or removed from it.
func readPathPrefix(s string) (string, *problem) {
	switch {
	case s == "":
		return "", nil
	case !strings.HasPrefix(s, "/"):
		return "", not("it must begin with /")
	case strings.HasSuffix(s, "/"):
		return "", not("write it without the / at the end")
	case strings.ContainsAny(s, "{}*"):
		return "", not("it must be fixed text; use rewrite.path for captured parts")
	}
	return s, checkFixed(s)
}

// readServe reads the path of an error document.
func readServe(s string) (string, *problem) {
	switch {
	case s == "":
		return "", nil
	case !strings.HasPrefix(s, "/"):
		return "", not("it must begin with /")
	case strings.ContainsAny(s, "{}*"):
		return "", not("it must be fixed text without placeholders")
	}
	return s, checkFixed(s)
}

// templateVariable matches {name} or {*} in a template.
var templateVariable = regexp.MustCompile(`\{([^{}]*)\}`)

// readTemplate reads a path with {name} and {*}.
func readTemplate(s string) (string, *problem) {
	switch {
	case s == "":
		return "", nil
	case !strings.HasPrefix(s, "/"):
		return "", not("it must begin with /")
	}
	fixed := templateVariable.ReplaceAllString(s, "x")
	if strings.ContainsAny(fixed, "{}*") {
		return "", not("write a captured part as {name} or {*}")
	}
	return s, checkFixed(fixed)
}

// checkTemplate refuses placeholders that the pattern does not capture.
func checkTemplate(template, pattern string) *problem {
	parts, _ := parsePattern(pattern)
	var names []string
	for _, s := range parts {
		if s.param != "" {
			names = append(names, s.param)
		}
	}
	for _, m := range templateVariable.FindAllStringSubmatch(template, -1) {
		if !slices.Contains(names, m[1]) {
			p := problemf("match.path does not capture {%s}", clip(m[1]))
			if len(names) > 0 {
				p.or("it captures {%s}", strings.Join(names, "}, {"))
			}
			return p
		}
	}
	return nil
}
