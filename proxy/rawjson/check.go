package rawjson

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// MaxDepth is the largest nesting of arrays and objects. Python reads as deep, and it is safe for
// the stack.
const MaxDepth = 1000

// SyntaxError is an error in a JSON text with its position.
type SyntaxError struct {
	Offset int // in bytes
	What   string
}

// Error returns the position and the error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: %s", e.Offset, e.What) }

// Check returns nil if text is one JSON value of RFC 8259, nested no deeper than MaxDepth, and
// otherwise a *SyntaxError. The names of an object need not be unique.
func Check(text []byte) error {
	s := scanner{text: text}
	return s.check()
}

func (s *scanner) check() error {
	s.space()
	if !s.value(0) {
		return &SyntaxError{s.pos, s.wrong}
	}
	if s.space(); s.pos < len(s.text) {
		return &SyntaxError{s.pos, "text follows the value"}
	}
	return nil
}

// bom is the byte order mark. Writers must not add it, and a reader may ignore it (RFC 8259 §8.1).
var bom = []byte("\xef\xbb\xbf")

// Clean returns text as JSON that every reader accepts, or a *SyntaxError. Text that the RFC allows
// stays byte for byte. Common writers also send text that the RFC does not allow, and Clean
// converts it as most readers do: it removes a byte order mark, replaces NaN and infinities by null
// and bytes that are not UTF-8 by U+FFFD, and escapes control characters in strings. If there is
// nothing to convert, it returns text itself, not a copy.
func Clean(text []byte) ([]byte, error) {
	text = bytes.TrimPrefix(text, bom)
	s := scanner{text: text, tolerant: true}
	if err := s.check(); err != nil {
		return nil, err
	}
	if !s.odd {
		return text, nil
	}
	return mend(text), nil
}

// scanner walks over a text. Its methods report false if the text is wrong, with pos at the error.
type scanner struct {
	text  []byte
	pos   int
	wrong string
	// tolerant accepts the text that Clean converts. odd is true if there is such text.
	tolerant, odd bool
}

// oddity accepts text that is not JSON if the scanner is tolerant.
func (s *scanner) oddity(what string) bool {
	if !s.tolerant {
		return s.fail(what)
	}
	s.odd = true
	return true
}

func (s *scanner) fail(what string) bool {
	if s.wrong == "" {
		s.wrong = what
	}
	return false
}

// peek returns the next byte, or 0 at the end.
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
	case s.tolerant && (c == 'N' || c == 'I' || c == '-') && s.notFinite() > 0:
		s.pos += s.notFinite()
		return s.oddity("")
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.fail("expected a value")
}

func (s *scanner) word(w string) bool {
	if len(s.text)-s.pos < len(w) || string(s.text[s.pos:s.pos+len(w)]) != w {
		return s.fail("expected a value")
	}
	s.pos += len(w)
	return true
}

func (s *scanner) object(depth int) bool {
	if depth > MaxDepth {
		return s.fail("nested too deep")
	}
	s.pos++
	first := true
	for s.space(); s.peek() != '}'; s.space() {
		if !first && !s.comma() {
			return false
		}
		first = false
		if s.peek() != '"' {
			return s.fail("expected a name in quotes")
		}
		if !s.str() {
			return false
		}
		if s.space(); s.peek() != ':' {
			return s.fail("expected a colon")
		}
		s.pos++
		if s.space(); !s.value(depth) {
			return false
		}
	}
	s.pos++
	return true
}

// comma moves past a comma and the whitespace after it.
func (s *scanner) comma() bool {
	if s.peek() != ',' {
		return s.fail("expected a comma")
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

// number follows RFC 8259 §6: no leading zeros, no lone sign, and digits on both sides of the
// point.
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
	return s.pos > begin || s.fail("expected a digit")
}

// str follows RFC 8259 §7, in UTF-8 (§8.1). A lone surrogate may be escaped, because the grammar
// allows it; its meaning is left to the readers (§8.2).
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
			if !s.oddity("a control character within a string") {
				return false
			}
			s.pos++
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, n := utf8.DecodeRune(s.text[s.pos:])
			if r == utf8.RuneError && n == 1 && !s.oddity("not UTF-8") {
				return false
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
		return s.fail("unknown escape")
	}
	if _, ok := unit(rest); !ok {
		return s.fail("expected four hexadecimal digits")
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
