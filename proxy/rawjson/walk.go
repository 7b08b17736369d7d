package rawjson

import (
	"bytes"
	"encoding/json"
	"iter"
)

// Trim is b without the space around its value.
func Trim(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

// IsNull reports whether the value is null.
func IsNull(b []byte) bool { return string(Trim(b)) == "null" }

// IsObject reports whether the value is an object.
func IsObject(b []byte) bool {
	i := skipSpace(b, 0)
	return i < len(b) && b[i] == '{'
}

// IsArray reports whether the value is an array.
func IsArray(b []byte) bool {
	i := skipSpace(b, 0)
	return i < len(b) && b[i] == '['
}

// Text is what a string means, "" for what is none.
func Text(b []byte) string {
	b = Trim(b)
	if len(b) < 2 || b[0] != '"' {
		return ""
	}
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b[1 : len(b)-1])
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return ""
	}
	return s
}

// Scalar is the text of a string, or the very text of a number or boolean. It is false for everything else.
func Scalar(b []byte) (string, bool) {
	b = Trim(b)
	if len(b) == 0 {
		return "", false
	}
	switch b[0] {
	case '{', '[', 'n':
		return "", false
	case '"':
		return Text(b), true
	}
	return string(b), true
}

// Members walks over an object: names as they are written, quotes included, and their values. What is no object has none.
func Members(b []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := skipSpace(b, 0)
		if i >= len(b) || b[i] != '{' {
			return
		}
		for i = skipSpace(b, i+1); i < len(b) && b[i] == '"'; {
			end := skipText(b, i)
			from := skipSpace(b, end)
			if from >= len(b) {
				return
			}
			from = skipSpace(b, from+1) // the colon
			to := skipValue(b, from)
			if to <= from || !yield(b[i:end], b[from:to]) {
				return
			}
			if i = skipSpace(b, to); i >= len(b) || b[i] != ',' {
				return
			}
			i = skipSpace(b, i+1)
		}
	}
}

// Elements walks over an array. What is no array has none.
func Elements(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i := skipSpace(b, 0)
		if i >= len(b) || b[i] != '[' {
			return
		}
		for i = skipSpace(b, i+1); i < len(b) && b[i] != ']'; {
			to := skipValue(b, i)
			if to <= i || !yield(b[i:to]) {
				return
			}
			if i = skipSpace(b, to); i >= len(b) || b[i] != ',' {
				return
			}
			i = skipSpace(b, i+1)
		}
	}
}

// skipValue is where the value at i ends. The document has been checked: only strings and brackets are looked at.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return i
	}
	switch b[i] {
	case '"':
		return skipText(b, i)
	case '{', '[':
		return skipNest(b, i)
	}
	for i < len(b) && bytes.IndexByte([]byte(",]} \t\r\n"), b[i]) < 0 {
		i++
	}
	return i
}

func skipNest(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = skipText(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return i
}

func skipText(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}
