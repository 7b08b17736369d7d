package cachepolicy

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
	m := memberWriter{dst: dst, start: len(dst)}
	for i, line := range lines {
		if i > 0 {
			m.dst = append(m.dst, separator...)
		}
		m.dst = append(m.dst, trimOWS(line)...)
	}
	m.trim()
	return m.dst
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
	m := memberWriter{dst: dst, start: len(dst), fold: fold}
	for i, line := range lines {
		if i > 0 {
			m.write(',')
			m.write(' ')
		}
		for j := range len(line) {
			m.write(line[j])
		}
	}
	if !m.quoted {
		m.trim()
	}
	return m.dst
}

// memberWriter normalises a list byte by byte.
type memberWriter struct {
	dst     []byte
	start   int // where the value begins in dst
	fold    folding
	quoted  bool // inside a quoted string
	escaped bool // after a backslash there
	params  bool // behind the first ";" of a member
}

func (m *memberWriter) write(c byte) {
	switch {
	case m.quoted:
		m.writeQuoted(c)
		return
	case isOWS(c):
		if m.afterSeparator() {
			return
		}
	case c == ',':
		m.trim()
		m.params = false
	case c == ';' && m.fold == foldMedia:
		m.trim()
		m.params = true
	case c == '"':
		m.quoted = true
	case m.fold == foldAll, m.fold == foldMedia && !m.params:
		c = lowerByte(c)
	}
	m.dst = append(m.dst, c)
}

func (m *memberWriter) writeQuoted(c byte) {
	switch {
	case m.escaped:
		m.escaped = false
	case c == '\\':
		m.escaped = true
	case c == '"':
		m.quoted = false
	}
	if m.fold == foldAll {
		c = lowerByte(c)
	}
	m.dst = append(m.dst, c)
}

// afterSeparator reports whether nothing of the member, or of its parameter, has been written yet. Outside a quoted string the
// last byte can't be one from inside: that would be followed by the closing quote.
func (m *memberWriter) afterSeparator() bool {
	if len(m.dst) == m.start {
		return true
	}
	last := m.dst[len(m.dst)-1]
	return last == ',' || last == ';' && m.fold == foldMedia
}

// trim takes back the whitespace that turned out to be in front of a separator or the end.
func (m *memberWriter) trim() {
	for len(m.dst) > m.start && isOWS(m.dst[len(m.dst)-1]) {
		m.dst = m.dst[:len(m.dst)-1]
	}
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
		if c := s[i]; c <= ' ' || c >= 0x7f || isDelimiter(c) {
			return false
		}
	}
	return s != ""
}

func isDelimiter(c byte) bool {
	switch c {
	case '"', '(', ')', ',', '/', ':', ';', '<', '=', '>', '?', '@', '[', '\\', ']', '{', '}':
		return true
	}
	return false
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
