package cachepolicy

import "strings"

// appendNormal appends the normal form of a request field that has at least one line: two requests whose values have one normal
// form ask for the same thing (RFC 9111 §4.1). The normal form of a normal form is itself.
func appendNormal(dst []byte, name string, lines []string) []byte {
	switch name {
	case "Accept-Encoding", "Accept-Language":
		return appendPreferences(dst, lines)
	case "Accept":
		return appendMembers(dst, lines, foldMedia) // the order stays: origins break ties between equal weights by it
	case "Cookie":
		return appendJoined(dst, lines, "; ") // RFC 9113 §8.2.3: a Cookie field may arrive in pieces
	case "User-Agent", "Referer", "Authorization", "Origin":
		return appendJoined(dst, lines, ", ") // no lists: a space beside a comma is part of the value
	}
	return appendMembers(dst, lines, foldNone)
}

// appendJoined joins the lines as they are.
func appendJoined(dst []byte, lines []string, separator string) []byte {
	start := len(dst)
	for i, line := range lines {
		if i > 0 {
			dst = append(dst, separator...)
		}
		dst = append(dst, trimOWS(line)...)
	}
	return trimEnd(dst, start)
}

// folding says which letters of a list's members don't tell values apart.
type folding uint8

const (
	foldNone  folding = iota
	foldAll           // no letter does
	foldMedia         // those before the first ";" don't, as in a media range; and the space around ";" is no matter
)

// appendMembers appends the lines as one list with the optional whitespace around its commas gone. Quoted strings are left as
// they are. The lines are joined as RFC 9110 §5.3 says, so it makes no difference in how many lines a list came.
func appendMembers(dst []byte, lines []string, fold folding) []byte {
	m := memberState{start: len(dst), fold: fold}
	for i, line := range lines {
		if i > 0 {
			dst = m.append(m.append(dst, ','), ' ')
		}
		for j := range len(line) {
			dst = m.append(dst, line[j])
		}
	}
	return trimEnd(dst, m.start)
}

// memberState is where appendMembers is within a list. It holds no bytes: those go from hand to hand and stay on the stack.
type memberState struct {
	start   int // where the value begins in dst
	fold    folding
	quoted  bool // inside a quoted string
	escaped bool // after a backslash there
	params  bool // behind the first ";" of a member
}

func (m *memberState) append(dst []byte, c byte) []byte {
	switch {
	case m.quoted:
		return append(dst, m.quote(c))
	case isOWS(c):
		if m.afterSeparator(dst) {
			return dst
		}
	case c == ',':
		dst = trimEnd(dst, m.start)
		m.params = false
	case c == ';' && m.fold == foldMedia:
		dst = trimEnd(dst, m.start)
		m.params = true
	case c == '"':
		m.quoted = true
	case m.fold == foldAll, m.fold == foldMedia && !m.params:
		c = lowerByte(c)
	}
	return append(dst, c)
}

// quote takes a byte of a quoted string, or its closing quote (RFC 9110 §5.6.4).
func (m *memberState) quote(c byte) byte {
	switch {
	case m.escaped:
		m.escaped = false
	case c == '\\':
		m.escaped = true
	case c == '"':
		m.quoted = false
	}
	if m.fold == foldAll {
		return lowerByte(c)
	}
	return c
}

// afterSeparator reports whether nothing of the member, or of its parameter, has been written yet. Outside a quoted string the
// last byte can't be one from inside: that would be followed by the closing quote.
func (m *memberState) afterSeparator(dst []byte) bool {
	if len(dst) == m.start {
		return true
	}
	last := dst[len(dst)-1]
	return last == ',' || last == ';' && m.fold == foldMedia
}

// trimEnd takes back the whitespace at the end of what was appended since start.
func trimEnd(dst []byte, start int) []byte {
	for len(dst) > start && isOWS(dst[len(dst)-1]) {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// trimOWS removes optional whitespace, spaces and tabs, from both ends (RFC 9110 §5.6.3).
func trimOWS(s string) string {
	for s != "" && isOWS(s[0]) {
		s = s[1:]
	}
	for s != "" && isOWS(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isOWS(c byte) bool { return c == ' ' || c == '\t' }

// isToken reports whether s is a token (RFC 9110 §5.6.2), as every field name is.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
