package rawjson

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// SyntaxError says why a document is refused.
type SyntaxError struct {
	Offset int // of the byte where it was noticed
	What   string
}

// Error gives reason and place.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.What, e.Offset) }

// Check refuses what is not one JSON value, what is nested deeper than depth, and what readers disagree about: names that an object has twice,
// invalid UTF-8, a byte order mark, and escapes of half a surrogate pair. All that other functions are given must have passed it.
func Check(b []byte, depth int) error {
	c := checker{b: b, depth: depth}
	i, err := c.value(skipSpace(b, 0), 0)
	if err != nil {
		return err
	}
	if i = skipSpace(b, i); i < len(b) {
		return &SyntaxError{i, "something follows the value"}
	}
	return nil
}

// checker walks over one document.
type checker struct {
	b     []byte
	depth int
	names [][]byte // of the objects that are open, the outermost first
}

func (c *checker) fail(i int, what string) (int, error) {
	if i >= len(c.b) {
		i, what = len(c.b), "the document ends early"
	}
	return i, &SyntaxError{i, what}
}

// value checks the value at i and returns where it ends.
func (c *checker) value(i, depth int) (int, error) {
	if i >= len(c.b) {
		return c.fail(i, "")
	}
	switch ch := c.b[i]; {
	case ch == '{':
		return c.object(i+1, depth+1)
	case ch == '[':
		return c.array(i+1, depth+1)
	case ch == '"':
		return c.text(i)
	case ch == '-' || ch >= '0' && ch <= '9':
		return c.number(i)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(c.b[i:], []byte(word)) {
			return i + len(word), nil
		}
	}
	return c.fail(i, "no value begins like this")
}

func (c *checker) object(i, depth int) (int, error) {
	if depth > c.depth {
		return c.fail(i-1, "the nesting is too deep")
	}
	first := len(c.names)
	defer func() { c.names = c.names[:first] }()
	var seen map[string]struct{}
	if i = skipSpace(c.b, i); i < len(c.b) && c.b[i] == '}' {
		return i + 1, nil
	}
	for {
		end, err := c.name(i, first, &seen)
		if err != nil {
			return end, err
		}
		if i = skipSpace(c.b, end); i >= len(c.b) || c.b[i] != ':' {
			return c.fail(i, "a colon is missing")
		}
		if i, err = c.value(skipSpace(c.b, i+1), depth); err != nil {
			return i, err
		}
		i = skipSpace(c.b, i)
		switch {
		case i < len(c.b) && c.b[i] == ',':
			i = skipSpace(c.b, i+1)
		case i < len(c.b) && c.b[i] == '}':
			return i + 1, nil
		default:
			return c.fail(i, "an object goes on with , or ends with }")
		}
	}
}

// fewNames is up to how many names of an object are compared one by one.
const fewNames = 12

// name checks the name at i, and that the object, whose names begin at first, does not have it already.
func (c *checker) name(i, first int, seen *map[string]struct{}) (int, error) {
	if i >= len(c.b) || c.b[i] != '"' {
		return c.fail(i, "an object's name is missing")
	}
	end, err := c.text(i)
	if err != nil {
		return end, err
	}
	name := c.b[i+1 : end-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name = []byte(Text(c.b[i:end]))
	}
	if *seen != nil {
		if _, twice := (*seen)[string(name)]; twice {
			return c.fail(i, "an object has this name twice")
		}
		(*seen)[string(name)] = struct{}{}
		return end, nil
	}
	own := c.names[first:]
	for _, n := range own {
		if bytes.Equal(n, name) {
			return c.fail(i, "an object has this name twice")
		}
	}
	c.names = append(c.names, name)
	if len(own) == fewNames {
		*seen = make(map[string]struct{}, 4*fewNames)
		for _, n := range c.names[first:] {
			(*seen)[string(n)] = struct{}{}
		}
	}
	return end, nil
}

func (c *checker) array(i, depth int) (int, error) {
	if depth > c.depth {
		return c.fail(i-1, "the nesting is too deep")
	}
	if i = skipSpace(c.b, i); i < len(c.b) && c.b[i] == ']' {
		return i + 1, nil
	}
	for {
		var err error
		if i, err = c.value(i, depth); err != nil {
			return i, err
		}
		i = skipSpace(c.b, i)
		switch {
		case i < len(c.b) && c.b[i] == ',':
			i = skipSpace(c.b, i+1)
		case i < len(c.b) && c.b[i] == ']':
			return i + 1, nil
		default:
			return c.fail(i, "an array goes on with , or ends with ]")
		}
	}
}

// text checks the string at i.
func (c *checker) text(i int) (int, error) {
	for i++; i < len(c.b); {
		switch ch := c.b[i]; {
		case ch == '"':
			return i + 1, nil
		case ch == '\\':
			end, err := c.escape(i)
			if err != nil {
				return end, err
			}
			i = end
		case ch < 0x20:
			return c.fail(i, "a string has a control character")
		case ch < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(c.b[i:])
			if r == utf8.RuneError && size == 1 {
				return c.fail(i, "a string is not UTF-8")
			}
			i += size
		}
	}
	return c.fail(i, "")
}

// escape checks the escape at i. A surrogate comes with its other half (RFC 8259 §8.2).
func (c *checker) escape(i int) (int, error) {
	if i+1 >= len(c.b) {
		return c.fail(i+1, "")
	}
	if c.b[i+1] != 'u' {
		if bytes.IndexByte([]byte(`"\/bfnrt`), c.b[i+1]) < 0 {
			return c.fail(i, "there is no such escape")
		}
		return i + 2, nil
	}
	unit, ok := unit16(c.b, i)
	switch {
	case !ok:
		return c.fail(i, "\\u is followed by four hexadecimal digits")
	case unit >= 0xdc00 && unit < 0xe000:
		return c.fail(i, "half a surrogate pair")
	case unit < 0xd800 || unit >= 0xe000:
		return i + 6, nil
	}
	if low, ok := unit16(c.b, i+6); !ok || low < 0xdc00 || low >= 0xe000 {
		return c.fail(i, "half a surrogate pair")
	}
	return i + 12, nil
}

// unit16 reads \uXXXX at i.
func unit16(b []byte, i int) (unit uint16, ok bool) {
	if i+6 > len(b) || b[i] != '\\' || b[i+1] != 'u' {
		return 0, false
	}
	for _, ch := range b[i+2 : i+6] {
		unit <<= 4
		switch {
		case ch >= '0' && ch <= '9':
			unit |= uint16(ch - '0')
		case ch >= 'a' && ch <= 'f':
			unit |= uint16(ch-'a') + 10
		case ch >= 'A' && ch <= 'F':
			unit |= uint16(ch-'A') + 10
		default:
			return 0, false
		}
	}
	return unit, true
}

// number checks the number at i (RFC 8259 §6).
func (c *checker) number(i int) (int, error) {
	digits := func() bool {
		from := i
		for i < len(c.b) && c.b[i] >= '0' && c.b[i] <= '9' {
			i++
		}
		return i > from
	}
	at := func(set string) bool { return i < len(c.b) && bytes.IndexByte([]byte(set), c.b[i]) >= 0 }
	if at("-") {
		i++
	}
	switch {
	case at("0"):
		i++
	case !digits():
		return c.fail(i, "a number has no digits")
	}
	if at(".") {
		if i++; !digits() {
			return c.fail(i, "a number has no digits behind its point")
		}
	}
	if at("eE") {
		if i++; at("+-") {
			i++
		}
		if !digits() {
			return c.fail(i, "a number has no digits in its exponent")
		}
	}
	return i, nil
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}
