package config

import (
	"regexp"
	"slices"
	"strings"
)

// segment is a piece of a path pattern: fixed text, a parameter or the * at the end.
type segment struct {
	text  string // fixed text; "" for the others
	param string // the parameter's name, or * for the rest of the path
	expr  string // the parameter's expression; "": anything within one path segment
}

// parsePattern reads a path pattern by the rules of the router, which panics on those that break them.
func parsePattern(s string) ([]segment, *problem) {
	if !strings.HasPrefix(s, "/") {
		return nil, not("it begins with /")
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

// parseParam reads {name} or {name:expression}, whose braces are balanced.
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
		return next, "", problemf("{ without }")
	}
	name, expr, hasExpr := strings.Cut(s[1:end], ":")
	next, rest = segment{param: name, expr: expr}, s[end+1:]
	switch {
	case !variableName.MatchString(name):
		return next, rest, problemf("{%s} is no parameter", clip(name)).or("such as {id} or {id:[0-9]+}")
	case hasExpr && expr == "":
		return next, rest, problemf("{%s:} has no expression", clip(name)).or("{%s} matches anything within one segment", clip(name))
	}
	if _, err := regexp.Compile(expr); err != nil {
		return next, rest, problemf("the expression of {%s} is not one: %s", clip(name), clip(err.Error()))
	}
	return next, rest, nil
}

// parseRest reads the * at the end.
func parseRest(s string, before []segment) (segment, string, *problem) {
	switch {
	case s != "*":
		return segment{}, "", problemf("* stands only at the end").or("a {name} matches one path segment")
	case len(before) == 0 || !strings.HasSuffix(before[len(before)-1].text, "/"):
		return segment{}, "", problemf("* follows a /").or("such as /static/*")
	}
	return segment{param: "*"}, "", nil
}

// follows checks a piece against those before it.
func follows(before []segment, next segment) *problem {
	if next.param == "" || len(before) == 0 {
		return nil
	}
	if before[len(before)-1].param != "" {
		return problemf("{%s} follows a parameter at once", clip(next.param)).or("there must be text between them")
	}
	if slices.ContainsFunc(before, func(s segment) bool { return s.param == next.param }) {
		return problemf("{%s} is here twice", clip(next.param))
	}
	return nil
}

// checkFixed accepts the fixed text of a path in canonical form only: any other would never be met by a request.
func checkFixed(s string) *problem {
	padded := s + "/"
	switch {
	case strings.Contains(s, "//"):
		return problemf("a path in canonical form has no //")
	case strings.Contains(padded, "/./"), strings.Contains(padded, "/../"):
		return problemf("a path in canonical form has no `.` and `..`")
	case strings.ContainsAny(s, "?#"):
		return problemf("a path has no query and no fragment")
	case strings.ContainsRune(s, '}'):
		return problemf("} without {")
	}
	return checkEscapes(s)
}

// checkEscapes refuses characters that a path holds only percent-encoded, and encodings that are broken.
func checkEscapes(s string) *problem {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return problemf("%% without two hexadecimal digits, upper case")
			}
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`|", c) >= 0:
			return problemf("a path holds this character only as %%%02X", c)
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

// shapeOf is what tells two patterns apart: the names of parameters do not.
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

// readPathPrefix reads what is put in front of a path or taken off it.
func readPathPrefix(s string) (string, *problem) {
	switch {
	case s == "":
		return "", nil
	case !strings.HasPrefix(s, "/"):
		return "", not("it begins with /")
	case strings.HasSuffix(s, "/"):
		return "", not("without a / at the end")
	case strings.ContainsAny(s, "{}*"):
		return "", not("it is fixed text; see rewrite.path for captured parts")
	}
	return s, checkFixed(s)
}

// readServe reads the path of an error document.
func readServe(s string) (string, *problem) {
	switch {
	case s == "":
		return "", nil
	case !strings.HasPrefix(s, "/"):
		return "", not("it begins with /")
	}
	return s, checkFixed(s)
}

// templateVariable is {name} or {*} in a template.
var templateVariable = regexp.MustCompile(`\{([^{}]*)\}`)

// readTemplate reads a path with {name} and {*} in it.
func readTemplate(s string) (string, *problem) {
	switch {
	case s == "":
		return "", nil
	case !strings.HasPrefix(s, "/"):
		return "", not("it begins with /")
	}
	fixed := templateVariable.ReplaceAllString(s, "x")
	if strings.ContainsAny(fixed, "{}*") {
		return "", not("what was captured is written {name} or {*}")
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
			p := problemf("match.path captures no {%s}", clip(m[1]))
			if len(names) > 0 {
				p.or("it has {%s}", strings.Join(names, "}, {"))
			}
			return p
		}
	}
	return nil
}
