package aggregate

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/penstock/penstock/proxy/dotpath"
	"github.com/penstock/penstock/proxy/rawjson"
)

// Ref is a reference within braces in a template: {id} is a capture of the route's pattern,
// {query.page} a parameter of the client's query, {user.manager_id} a field of another part, and {}
// the element of a foreach.
type Ref struct {
	Name  string       // the capture or the part; "" for the element
	Query string       // the parameter
	Path  rawjson.Path // within the part
	Part  bool
}

// String returns the reference as it is written.
func (r Ref) String() string {
	switch {
	case r.Query != "":
		return "{query." + r.Query + "}"
	case r.Part:
		return "{" + r.Name + "." + r.Path.String() + "}"
	}
	return "{" + r.Name + "}"
}

// piece is fixed text or a reference.
type piece struct {
	text    string
	ref     Ref
	isRef   bool
	inQuery bool
}

// Template builds the path and query of a part's URL. It is immutable.
type Template struct{ pieces []piece }

// ParseTemplate parses a path with an optional query, such as /users/{user.manager_id} or
// /orders?user_id={id}.
func ParseTemplate(s string) (Template, error) {
	var t Template
	if !strings.HasPrefix(s, "/") {
		return t, errors.New("a part's path must begin with /")
	}
	inQuery := false
	for rest := s; rest != ""; {
		text, after, found := strings.Cut(rest, "{")
		if text != "" {
			inQuery = inQuery || strings.Contains(text, "?")
			t.pieces = append(t.pieces, piece{text: text})
		}
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return t, errors.New("{ without }")
		}
		ref, err := parseRef(name)
		if err != nil {
			return t, err
		}
		t.pieces = append(t.pieces, piece{ref: ref, isRef: true, inQuery: inQuery})
		rest = tail
	}
	return t, nil
}

func parseRef(s string) (Ref, error) {
	name, field, dotted := strings.Cut(s, ".")
	switch {
	case !dotted:
		return Ref{Name: s}, nil
	case name == "query" && field != "":
		return Ref{Query: field}, nil
	}
	path, err := rawjson.ParsePath(field)
	if err != nil || field == "" || name == "" || path.Many() {
		return Ref{}, fmt.Errorf("{%s} does not name a field of a part", s)
	}
	return Ref{Name: name, Path: path, Part: true}, nil
}

// Refs lists the references of t.
func (t Template) Refs() []Ref {
	var refs []Ref
	for _, p := range t.pieces {
		if p.isRef {
			refs = append(refs, p.ref)
		}
	}
	return refs
}

// maxURL bounds the path and query of a part's request: by default, servers accept a request line
// of 8 KiB.
const maxURL = 7 << 10

// boundError is returned for a value that would make a URL longer than maxURL.
type boundError struct{ ref Ref }

func (e *boundError) Error() string {
	return fmt.Sprintf("with the value of %s its URL would be longer than %d bytes", e.ref, maxURL)
}

// Expand fills in the values, given as plain text, and returns the URL. It returns an error of
// value unchanged.
func (t Template) Expand(value func(Ref) (string, error)) (*url.URL, error) {
	var b strings.Builder
	for _, p := range t.pieces {
		if !p.isRef {
			b.WriteString(p.text)
			continue
		}
		v, err := value(p.ref)
		if err != nil {
			return nil, err
		}
		escaped, err := escape(v, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.ref, err)
		}
		if b.WriteString(escaped); b.Len() > maxURL {
			return nil, &boundError{p.ref}
		}
	}
	path, query, _ := strings.Cut(b.String(), "?")
	if dotpath.Hidden(path) {
		return nil, errors.New("a value is or contains a dot segment")
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("making the URL of a part: %w", err)
	}
	return &url.URL{Path: plain, RawPath: path, RawQuery: query}, nil
}

// escape escapes v for its position.
func escape(v string, p piece) (string, error) {
	if len(v) > maxURL { // before it is escaped
		return "", &boundError{p.ref}
	}
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errors.New("the value has a control character")
	}
	switch {
	case p.inQuery:
		return url.QueryEscape(v), nil
	case p.ref.Name == "*" && !p.ref.Part:
		segments := strings.Split(v, "/")
		for i, s := range segments {
			segments[i] = url.PathEscape(s)
		}
		return strings.Join(segments, "/"), nil
	case v == "":
		return "", errors.New("the value is empty")
	}
	return url.PathEscape(v), nil
}
