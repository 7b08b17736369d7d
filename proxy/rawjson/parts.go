package rawjson

import (
	"bytes"
	"iter"
	"unicode/utf16"
	"unicode/utf8"
)

// Kind is what a value is: '{', '[', '"', '0' for a number, 't', 'f' or 'n'; 0 for an empty text.
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

// Trim is value without the space around it.
func Trim(value []byte) []byte { return bytes.Trim(value, " \t\r\n") }

// Members walks over the members of an object in their order. Of any other value there are none. Values are parts of the text.
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

// Elements walks over the elements of an array. Of any other value there are none. They are parts of the text.
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

// skip passes a value of a text that is known to be right.
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

// Scalar is the text of a single value: of a string what it says, of a number its digits as they are, true and false. It is not ok for null, and for
// what has parts.
func Scalar(value []byte) (text string, ok bool) {
	switch value = Trim(value); Kind(value) {
	case '"':
		return unquote(value), true
	case '0', 't', 'f':
		return string(value), true
	}
	return "", false
}

// unquote is what a string says; raw has its quotes.
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
			if low, paired := unit(raw); paired && utf16.IsSurrogate(r) {
				r, raw = utf16.DecodeRune(r, low), raw[6:]
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		out = append(out, plain[raw[1]])
		raw = raw[2:]
	}
	return string(out)
}

// plain is what the short escapes stand for.
var plain = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// AppendQuoted appends s, which is UTF-8, as a string.
func AppendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
