package cachepolicy

import "strings"

// appendNormal appends the normal form of a request field that has at least one line. If the values
// of two requests have the same normal form, the requests ask for the same variant (RFC 9111 §4.1).
// The normal form of a normal form is itself.
func appendNormal(dst []byte, name string, lines []string) []byte {
	switch name {
	case "Accept-Encoding", "Accept-Language":
		return appendPreferences(dst, lines)
	case "Accept":
		return appendMembers(dst, lines, foldMedia) // keep the order: origins use it to break ties between equal weights
	case "Cookie":
		return appendJoined(dst, lines, "; ") // RFC 9113 §8.2.3: a Cookie field may arrive in pieces
	case "User-Agent", "Referer", "Authorization", "Origin":
		return appendJoined(dst, lines, ", ") // not a list: a space beside a comma is part of the value
	}
	return appendMembers(dst, lines, foldNone)
}

// appendJoined joins the lines without changing them.
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

// folding says which letters of a list's members are case-insensitive.
type folding uint8

const (
	foldNone  folding = iota
	foldAll           // all letters
	foldMedia         // letters before the first ";", as in a media range; whitespace around ";" is ignored too
)

// appendMembers appends the lines as one list, without the optional whitespace around its commas.
// It keeps quoted strings unchanged. It joins the lines as RFC 9110 §5.3 says, so the number of
// lines makes no difference.
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

// memberState is the position of appendMembers within a list. It does not hold dst, so that the
// buffer can stay on the stack.
type memberState struct {
	start   int // index in dst of the first byte of the value
	fold    folding
	quoted  bool // inside a quoted string
	escaped bool // after a backslash in a quoted string
	params  bool // after the first ";" of a member
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

// quote handles a byte of a quoted string, or its closing quote (RFC 9110 §5.6.4).
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

// afterSeparator reports whether the current member, or its current parameter, is still empty. The
// last byte outside a quoted string can't come from inside one, because the closing quote follows
// it.
func (m *memberState) afterSeparator(dst []byte) bool {
	if len(dst) == m.start {
		return true
	}
	last := dst[len(dst)-1]
	return last == ',' || last == ';' && m.fold == foldMedia
}

// trimEnd removes the whitespace at the end of the bytes appended since start.
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

// isToken reports whether s is a token (RFC 9110 §5.6.2), as every field name must be.
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
