package compress

import (
	"net/http"
	"strings"
)

// HeaderCoding returns the coding that all lines of Content-Encoding together name.
func HeaderCoding(h http.Header) Coding {
	lines := h["Content-Encoding"]
	if len(lines) == 1 {
		return CodingOf(lines[0])
	}
	return CodingOf(strings.Join(lines, ","))
}

// AddVary adds Accept-Encoding to Vary (RFC 9110 §12.5.5), unless Vary already has it or "*". Other
// headers may share the existing lines, so AddVary does not change them.
func AddVary(h http.Header) {
	const name = "Accept-Encoding"
	lines := h["Vary"]
	if varyNames(lines, name) {
		return
	}
	joined := strings.Join(lines, ", ")
	if trimOWS(joined) == "" {
		h["Vary"] = []string{name}
		return
	}
	h["Vary"] = []string{joined + ", " + name}
}

// varyNames reports whether the Vary lines contain the name, or "*".
func varyNames(lines []string, name string) bool {
	for _, line := range lines {
		for line != "" {
			var member string
			member, line, _ = strings.Cut(line, ",")
			member = trimOWS(member)
			if member == "*" || strings.EqualFold(member, name) {
				return true
			}
		}
	}
	return false
}

// NoTransform reports whether Cache-Control contains no-transform. In a response (RFC 9111
// §5.2.2.6) or in a request (§5.2.1.6), it forbids changing the content's coding.
func NoTransform(h http.Header) bool {
	for _, line := range h["Cache-Control"] {
		if hasDirective(line, "no-transform") {
			return true
		}
	}
	return false
}

// hasDirective reports whether a Cache-Control line contains the directive, with or without an
// argument, outside quoted strings.
func hasDirective(line, directive string) bool {
	for line != "" {
		end := memberEnd(line)
		name, _, _ := strings.Cut(line[:end], "=")
		if strings.EqualFold(trimOWS(name), directive) {
			return true
		}
		line = line[min(end+1, len(line)):]
	}
	return false
}

// memberEnd returns the end of the first list member of s: a comma outside quoted strings, or the
// end of s.
func memberEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == ',' && !quoted:
			return i
		}
	}
	return len(s)
}
