package rawjson

import (
	"bytes"
	"unicode/utf8"
)

// notFinite lists the numbers that JSON does not have, as Python and JavaScript write them.
var notFinite = [...][]byte{[]byte("NaN"), []byte("Infinity"), []byte("-Infinity")}

// notFinite returns the length of such a number at the scanner's position, or 0.
func (s *scanner) notFinite() int {
	for _, word := range notFinite {
		if bytes.HasPrefix(s.text[min(s.pos, len(s.text)):], word) {
			return len(word)
		}
	}
	return 0
}

// mend returns JSON for a text that a tolerant scanner has accepted.
func mend(text []byte) []byte {
	s := scanner{text: text}
	out := make([]byte, 0, len(text)+16)
	quoted := false
	for s.pos < len(text) {
		c := text[s.pos]
		n := 1
		switch {
		case c == '"':
			quoted = !quoted
			out = append(out, c)
		case !quoted:
			if word := s.notFinite(); word > 0 {
				out, n = append(out, "null"...), word
			} else {
				out = append(out, c)
			}
		case c == '\\':
			n = 2
			out = append(out, text[s.pos:s.pos+2]...)
		default:
			out, n = appendMended(out, text[s.pos:])
		}
		s.pos += n
	}
	return out
}

// appendMended appends the first character of the rest of a string, and returns its length in rest.
func appendMended(out, rest []byte) ([]byte, int) {
	if rest[0] < ' ' {
		return appendEscaped(out, rune(rest[0])), 1
	}
	r, n := utf8.DecodeRune(rest)
	return utf8.AppendRune(out, r), n
}

// appendEscaped appends a character of the Basic Multilingual Plane, or a lone surrogate, as
// \uXXXX.
func appendEscaped(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
