// Package urltemplate makes the path and query of a request from a template such as /users/{user.id}?fields={fields}. Whatever a value holds, it
// stays in the segment or the parameter that the template gives it: nothing gets out of its place, and what would is refused.
//
// It is pure. What the names stand for is its caller's to say.
package urltemplate

import (
	"errors"
	"fmt"
	"strings"
)

// Template is a parsed template. It is immutable.
type Template struct {
	pieces []piece
}

// piece is fixed text, or the place of a value.
type piece struct {
	text  string
	name  string // what stands between the braces
	value bool   // it is the place of a value
	query bool   // in the query
}

// Parse reads a template: an absolute path in escaped form, which may have a query, with {name} where values go.
func Parse(s string) (*Template, error) {
	if !strings.HasPrefix(s, "/") {
		return nil, errors.New("it begins with /")
	}
	t := &Template{}
	query := false
	for rest := s; rest != ""; {
		text, after, found := strings.Cut(rest, "{")
		if err := t.fixed(text, &query); err != nil {
			return nil, err
		}
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed || strings.ContainsAny(name, "{ \t\r\n") {
			return nil, errors.New("{ without }")
		}
		t.pieces = append(t.pieces, piece{name: name, value: true, query: query})
		rest = tail
	}
	if hasDots(t.skeleton()) {
		return nil, errors.New("a path in canonical form has no `.` and `..`")
	}
	return t, nil
}

// fixed takes up fixed text, which may have the ? that parts path and query.
func (t *Template) fixed(text string, query *bool) error {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '?' && !*query:
			*query = true
			t.add(text[:i], false)
			t.add("?", true)
			if err := t.fixed(text[i+1:], query); err != nil {
				return err
			}
			return nil
		case c == '}':
			return errors.New("} without {")
		case c == '%' && !isEscape(text[i:]):
			return errors.New("% without two hexadecimal digits")
		case c != '%' && !fixedByte(c, *query):
			return fmt.Errorf("a URL holds this character only as %%%02X", c)
		}
	}
	t.add(text, *query)
	return nil
}

func (t *Template) add(text string, query bool) {
	if text != "" {
		t.pieces = append(t.pieces, piece{text: text, query: query})
	}
}

// skeleton is the path with something harmless in the place of its values.
func (t *Template) skeleton() string {
	var b strings.Builder
	for _, p := range t.pieces {
		switch {
		case p.query:
		case p.value:
			b.WriteString("x")
		default:
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// Names are what stands between the braces, in their order, each as often as it is there.
func (t *Template) Names() []string {
	var names []string
	for _, p := range t.pieces {
		if p.value {
			names = append(names, p.name)
		}
	}
	return names
}

// Expand puts values in. value gives what a name stands for; several are joined by commas. The path is in escaped form.
func (t *Template) Expand(value func(name string) ([]string, error)) (path, query string, err error) {
	var b strings.Builder
	cut := -1 // where the query begins
	for _, p := range t.pieces {
		if p.query && cut < 0 {
			cut = b.Len()
		}
		if !p.value {
			b.WriteString(p.text)
			continue
		}
		values, err := value(p.name)
		if err != nil {
			return "", "", err
		}
		if err := appendValues(&b, values); err != nil {
			return "", "", fmt.Errorf("{%s}: %w", p.name, err)
		}
	}
	path = b.String()
	if cut >= 0 {
		path, query = path[:cut], path[cut+1:]
	}
	if hasDots(path) {
		return "", "", ErrEscape
	}
	return path, query, nil
}
