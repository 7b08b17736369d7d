package rawjson

import (
	"bytes"
	"iter"
	"unicode/utf16"
	"unicode/utf8"
)

// Kind returns the kind of a value: '{', '[', '"', '0' for a number, 't', 'f' or 'n'. It returns 0
// for an empty text.
func Kind(value []byte) byte {
	value = Trim(value)
	switch {
	case len(value) == 0:
		return 0
	case value[0] == '-' || '0' <= value[0] && value[0] <= '9':
		return '0'
	}
	return value[0]
}

// Trim returns value without the surrounding whitespace.
func Trim(value []byte) []byte { return bytes.Trim(value, " \t\r\n") }

// Members yields the members of an object in order. It yields nothing for any other value. The
// yielded values are slices of the text.
func Members(value []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		s := scanner{text: Trim(value)}
		if s.peek() != '{' {
			return
		}
		for s.pos++; ; s.pos++ {
			if s.space(); s.peek() != '"' {
				return
			}
			at := s.pos
			s.str()
			name := unquote(s.text[at:s.pos])
			s.space()
			s.pos++ // the colon
			s.space()
			at = s.pos
			s.skip()
			if !yield(name, s.text[at:s.pos]) {
				return
			}
			if s.space(); s.peek() != ',' {
				return
			}
		}
	}
}

// Elements yields the elements of an array. It yields nothing for any other value. The elements are
// slices of the text.
func Elements(value []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s := scanner{text: Trim(value)}
		if s.peek() != '[' {
			return
		}
		for s.pos++; ; s.pos++ {
			if s.space(); s.peek() == ']' || s.peek() == 0 {
				return
			}
			at := s.pos
			s.skip()
			if !yield(s.text[at:s.pos]) {
				return
			}
			if s.space(); s.peek() != ',' {
				return
			}
		}
	}
}

// skip moves past a value in a valid text.
func (s *scanner) skip() {
	depth := 0
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '"':
			s.str()
			if depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return
			}
			if depth == 0 {
				s.pos++
				return
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return
			}
		}
		s.pos++
	}
}

// Scalar returns the text of a single value: the content of a string, the unchanged digits of a
// number, true or false. ok is false for null, for an array or object, and for a string with a lone
// surrogate, which is not valid text.
func Scalar(value []byte) (text string, ok bool) {
	switch value = Trim(value); Kind(value) {
	case '"':
		text = unquote(value)
		return text, utf8.ValidString(text) // only JSON can represent a lone surrogate
	case '0', 't', 'f':
		return string(value), true
	}
	return "", false
}

// unquote returns the content of a string. raw includes the quotes. A lone surrogate is encoded
// like any other code point, which is not valid UTF-8, so that different strings stay different.
func unquote(raw []byte) string {
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		if raw[0] != '\\' {
			out = append(out, raw[0])
			raw = raw[1:]
			continue
		}
		if r, ok := unit(raw); ok {
			raw = raw[6:]
			if low, paired := unit(raw); paired && utf16.DecodeRune(r, low) != utf8.RuneError {
				r, raw = utf16.DecodeRune(r, low), raw[6:]
			}
			if utf16.IsSurrogate(r) {
				out = append(out, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F)
			} else {
				out = utf8.AppendRune(out, r)
			}
			continue
		}
		out = append(out, plain[raw[1]])
		raw = raw[2:]
	}
	return string(out)
}

// plain maps the short escapes to their bytes.
var plain = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// AppendQuoted appends s as a JSON string. s must be UTF-8 or the name of a member.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = appendEscaped(dst, rune(c))
		case c == 0xED && i+2 < len(s) && s[i+1] >= 0xA0: // a lone surrogate in the form of unquote
			dst = appendEscaped(dst, 0xD000|rune(s[i+1]&0x3F)<<6|rune(s[i+2]&0x3F))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
