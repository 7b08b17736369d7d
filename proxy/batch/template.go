package batch

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/penstock/penstock/proxy/dotpath"
)

// idsName is the placeholder for the ids in a path.
const idsName = "ids"

// piece is fixed text or the name of a capture.
type piece struct {
	text    string
	name    string
	inQuery bool
}

// template is a path with a place for the ids. It is immutable.
type template struct {
	before, after []piece
	reserved      string // characters with a meaning in the ids parameter, for the origin
}

// brackets lists characters to which an origin's query language may give a meaning. If one stands
// next to {ids}, ids may not contain it.
const brackets = "()[]{}<>\"'`|;"

// splits reports whether the origin could read an id as several ids or as more than an id. The
// origin splits after decoding, so escaping does not prevent this.
func (t template) splits(id string) bool {
	if plain, err := url.QueryUnescape(id); err == nil && strings.Contains(plain, ",") {
		return true // for an origin that decodes twice
	}
	return strings.ContainsAny(id, ","+t.reserved)
}

// reserve finds the brackets in the ids parameter: in the fixed text on both sides, up to &.
func (t template) reserve() string {
	var around strings.Builder
	for _, p := range t.before {
		if i := strings.LastIndexAny(p.text, "?&"); i >= 0 {
			around.Reset()
		}
		around.WriteString(p.text[strings.LastIndexAny(p.text, "?&")+1:])
	}
	for _, p := range t.after {
		text, _, ends := strings.Cut(p.text, "&")
		if around.WriteString(text); ends {
			break
		}
	}
	text := around.String()
	if plain, err := url.QueryUnescape(text); err == nil {
		text = plain
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(brackets, r) {
			return r
		}
		return -1
	}, text)
}

func parseTemplate(s string) (template, error) {
	var t template
	if !strings.HasPrefix(s, "/") {
		return t, errors.New("it must begin with /")
	}
	found, inQuery := false, false
	add := func(p piece) {
		if found {
			t.after = append(t.after, p)
		} else {
			t.before = append(t.before, p)
		}
	}
	for rest := s; rest != ""; {
		text, after, more := strings.Cut(rest, "{")
		inQuery = inQuery || strings.Contains(text, "?")
		add(piece{text: text})
		if !more {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		switch {
		case !closed || name == "":
			return t, errors.New("{ without a name and }")
		case name != idsName:
			add(piece{name: name, inQuery: inQuery})
		case found || !inQuery:
			return t, errors.New("{ids} must stand once, in the query")
		default:
			found = true
		}
		rest = tail
	}
	if !found {
		return t, errors.New("{ids} must stand once, in the query")
	}
	t.reserved = t.reserve()
	return t, nil
}

// expand fills in the captures and returns the URL's text before and after the ids.
func (t template) expand(capture func(name string) (string, bool)) (before, after string, err error) {
	if before, err = fill(t.before, capture); err != nil {
		return "", "", err
	}
	path, _, _ := strings.Cut(before, "?")
	if dotpath.Hidden(path) {
		return "", "", errors.New("a value is or contains a dot segment")
	}
	after, err = fill(t.after, capture)
	return before, after, err
}

func fill(pieces []piece, capture func(name string) (string, bool)) (string, error) {
	var b strings.Builder
	for _, p := range pieces {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		value, ok := capture(p.name)
		if !ok || checkID(value) != nil {
			return "", fmt.Errorf("{%s} has no value that can stand in a URL", p.name)
		}
		if p.inQuery {
			b.WriteString(url.QueryEscape(value))
		} else {
			b.WriteString(url.PathEscape(value))
		}
	}
	return b.String(), nil
}

// target returns the URL for the escaped ids.
func target(before string, ids []string, after string) (*url.URL, error) {
	path, query, _ := strings.Cut(before+strings.Join(ids, ",")+after, "?")
	plain, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("making the URL of a batch: %w", err)
	}
	return &url.URL{Path: plain, RawPath: path, RawQuery: query}, nil
}
