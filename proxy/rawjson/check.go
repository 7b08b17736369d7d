package rawjson

import (
	"fmt"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may be nested within each other.
const MaxDepth = 128

// SyntaxError says what is wrong with a text, and where.
type SyntaxError struct {
	Offset int // in bytes
	What   string
}

// Error says where, and what.
func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: %s", e.Offset, e.What) }

// Check returns nil when text is one JSON value that this package can work on, or a *SyntaxError.
func Check(text []byte) error {
	s := scanner{text: text}
	s.space()
	if !s.value(0) {
		return &SyntaxError{s.pos, s.wrong}
	}
	if s.space(); s.pos < len(text) {
		return &SyntaxError{s.pos, "something follows the value"}
	}
	return nil
}

// scanner walks over a text. Its methods report false where the text is wrong, with pos there.
type scanner struct {
	text  []byte
	pos   int
	wrong string
}

func (s *scanner) fail(what string) bool {
	if s.wrong == "" {
		s.wrong = what
	}
	return false
}

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) bool {
	switch c := s.peek(); {
	case c == '{':
		return s.object(depth + 1)
	case c == '[':
		return s.array(depth + 1)
	case c == '"':
		return s.str()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.fail("a value is wanted here")
}

func (s *scanner) word(w string) bool {
	if len(s.text)-s.pos < len(w) || string(s.text[s.pos:s.pos+len(w)]) != w {
		return s.fail("a value is wanted here")
	}
	s.pos += len(w)
	return true
}

func (s *scanner) object(depth int) bool {
	if depth > MaxDepth {
		return s.fail("nested too deep")
	}
	s.pos++
	var seen names
	for s.space(); s.peek() != '}'; s.space() {
		if seen.count > 0 && !s.comma() {
			return false
		}
		at := s.pos
		if s.peek() != '"' {
			return s.fail("a name is wanted here")
		}
		if !s.str() {
			return false
		}
		if !seen.add(s.text[at:s.pos]) {
			s.pos = at
			return s.fail("the name is here twice")
		}
		if s.space(); s.peek() != ':' {
			return s.fail("a colon is wanted here")
		}
		s.pos++
		if s.space(); !s.value(depth) {
			return false
		}
	}
	s.pos++
	return true
}

// comma passes a comma and the space behind it.
func (s *scanner) comma() bool {
	if s.peek() != ',' {
		return s.fail("a comma is wanted here")
	}
	s.pos++
	s.space()
	return true
}

func (s *scanner) array(depth int) bool {
	if depth > MaxDepth {
		return s.fail("nested too deep")
	}
	s.pos++
	for first := true; ; first = false {
		if s.space(); s.peek() == ']' && first {
			break
		}
		if !first {
			if s.peek() == ']' {
				break
			}
			if !s.comma() {
				return false
			}
		}
		if !s.value(depth) {
			return false
		}
	}
	s.pos++
	return true
}

// number is RFC 8259 §6: no leading zeros, no lone sign, digits around the point.
func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return false
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	begin := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > begin || s.fail("a digit is wanted here")
}

// str is RFC 8259 §7, in UTF-8 (§8.1) and without lone surrogates (§8.2).
func (s *scanner) str() bool {
	s.pos++
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			return true
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c < ' ':
			return s.fail("a control character within a string")
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, n := utf8.DecodeRune(s.text[s.pos:])
			if r == utf8.RuneError && n == 1 {
				return s.fail("not UTF-8")
			}
			s.pos += n
		}
	}
	return s.fail("the string does not end")
}

func (s *scanner) escape() bool {
	rest := s.text[s.pos:]
	if len(rest) < 2 {
		return s.fail("the string does not end")
	}
	switch rest[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return true
	case 'u':
	default:
		return s.fail("an escape that JSON does not have")
	}
	r, ok := unit(rest)
	switch {
	case !ok:
		return s.fail("four hexadecimal digits are wanted here")
	case 0xDC00 <= r && r < 0xE000:
		return s.fail("half a surrogate pair")
	case 0xD800 <= r && r < 0xDC00:
		if low, ok := unit(rest[6:]); !ok || low < 0xDC00 || low >= 0xE000 {
			return s.fail("half a surrogate pair")
		}
		s.pos += 6
	}
	s.pos += 6
	return true
}

// unit reads \uXXXX at the beginning of b.
func unit(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
