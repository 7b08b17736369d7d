package compress

import (
	"net/http"
	"strings"
)

// HeaderCoding returns the coding that a header's Content-Encoding says was applied, all its lines taken together.
func HeaderCoding(h http.Header) Coding {
	lines := h["Content-Encoding"]
	if len(lines) == 1 {
		return CodingOf(lines[0])
	}
	return CodingOf(strings.Join(lines, ","))
}

// WeakenETag returns the weak form of an entity tag, for a body whose bytes were changed by coding and whose meaning
// was not (RFC 9110 §8.8.1). A weak tag, and one that is malformed, is returned as it is.
func WeakenETag(tag string) string {
	if !isStrongETag(tag) {
		return tag
	}
	return "W/" + tag
}

// isStrongETag reports whether s is an opaque-tag (RFC 9110 §8.8.3).
func isStrongETag(s string) bool {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	for _, b := range []byte(s[1 : len(s)-1]) {
		if b <= ' ' || b == '"' || b == 0x7f {
			return false
		}
	}
	return true
}

// AddVary adds Accept-Encoding to Vary (RFC 9110 §12.5.5) unless it is there, by name or by "*". The lines that were
// there may be shared with other headers, and are left alone.
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

// varyNames reports whether Vary lines hold the name, or "*".
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

// NoTransform reports whether a header's Cache-Control holds no-transform: of a response (RFC 9111 §5.2.2.6) or of a
// request (§5.2.1.6), either of which forbids to change the content's coding.
func NoTransform(h http.Header) bool {
	for _, line := range h["Cache-Control"] {
		if hasDirective(line, "no-transform") {
			return true
		}
	}
	return false
}

// hasDirective reports whether a Cache-Control line holds the directive, with or without an argument, outside of
// quoted strings.
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

// memberEnd returns where the first list member of s ends: at a comma outside of quoted strings, or at the end of s.
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
