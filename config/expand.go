package config

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// References are expanded within single values, after the YAML reader has parsed the text and
// before the decoder converts the values. So a variable can't add a key or an item, even if its
// value contains a colon, a quote or a line break, and lines and columns stay those of the file. If
// a value consists of one reference, its type is determined as if the expanded text stood there
// without quotes: `max: ${MAX:-20}` is a number. It is a number even in quotes, which YAML's flow
// lists and maps need around ${.

// maxReferenced bounds the content of a file to which a value refers.
const maxReferenced = 1 << 20

// variableName matches the name between ${ and } or :-.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expander replaces ${NAME}, ${NAME:-default}, ${file:/path} and $$.
type expander struct {
	env      func(string) (string, bool)
	readFile func(string) ([]byte, error)
}

// hasReference reports whether s may contain a reference.
func hasReference(s string) bool {
	return strings.Contains(s, "${") || strings.Contains(s, "$$")
}

// expand returns s with its references replaced. whole is true if s consists of one reference.
func (x expander) expand(s string) (text string, whole bool, p *problem) {
	var b strings.Builder
	rest := s
	for {
		i := strings.IndexByte(rest, '$')
		if i < 0 || i == len(rest)-1 {
			b.WriteString(rest)
			return b.String(), whole, nil
		}
		b.WriteString(rest[:i])
		switch rest[i+1] {
		case '$':
			b.WriteByte('$')
			rest = rest[i+2:]
		case '{':
			reference, after, ok := strings.Cut(rest[i+2:], "}")
			if !ok {
				return "", false, problemf("${ has no closing }").or("write $$ for a literal $")
			}
			value, p := x.lookUp(reference)
			if p != nil {
				return "", false, p
			}
			b.WriteString(value)
			whole = len(rest) == len(s) && i == 0 && after == ""
			rest = after
		default:
			b.WriteByte('$')
			rest = rest[i+1:]
		}
	}
}

// lookUp returns the value of the text between ${ and }.
func (x expander) lookUp(reference string) (string, *problem) {
	if path, ok := strings.CutPrefix(reference, "file:"); ok {
		return x.file(path)
	}
	name, fallback, hasFallback := strings.Cut(reference, ":-")
	switch {
	case strings.Contains(reference, "${"):
		return "", problemf("references can't be nested")
	case !variableName.MatchString(name):
		return "", problemf("${%s} is not a reference", clip(reference)).or("${NAME}, ${NAME:-default} or ${file:/path}; $$ for a literal $")
	}
	value, ok := x.env(name)
	switch {
	case hasFallback && value == "": // as in a shell, the default of :- also replaces an empty variable
		return fallback, nil
	case !ok:
		return "", problemf("environment variable %s is not set", clip(name)).or("set it, or write ${%s:-default}", clip(name))
	case !utf8.ValidString(value):
		return "", problemf("environment variable %s is not UTF-8", clip(name))
	}
	return value, nil
}

// file returns the content of a file without the line break at its end.
func (x expander) file(path string) (string, *problem) {
	if path == "" {
		return "", problemf("${file:} has no file name").or("${file:/path}")
	}
	content, err := x.readFile(path)
	switch {
	case err != nil:
		return "", problemf("file %s can't be read: %s", clip(path), clip(err.Error()))
	case len(content) > maxReferenced:
		return "", problemf("file %s has %d bytes; at most %d are read", clip(path), len(content), maxReferenced)
	case !utf8.Valid(content):
		return "", problemf("file %s is not UTF-8", clip(path))
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}
