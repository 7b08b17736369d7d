package batch

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/penstock/penstock/proxy/dotpath"
)

// idsName is what stands for the ids in a path.
const idsName = "ids"

// piece is fixed text, or the name of a capture.
type piece struct {
	text    string
	name    string
	inQuery bool
}

// template is a path around the ids. It is immutable.
type template struct{ before, after []piece }

func parseTemplate(s string) (template, error) {
	var t template
	if !strings.HasPrefix(s, "/") {
		return t, errors.New("it begins with /")
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
			return t, errors.New("{ids} stands once, in the query")
		default:
			found = true
		}
		rest = tail
	}
	if !found {
		return t, errors.New("{ids} stands once, in the query")
	}
	return t, nil
}

// expand fills in the captures and gives what stands before and after the ids.
func (t template) expand(capture func(name string) (string, bool)) (before, after string, err error) {
	if before, err = fill(t.before, capture); err != nil {
		return "", "", err
	}
	path, _, _ := strings.Cut(before, "?")
	if dotpath.Hidden(path) {
		return "", "", errors.New("a value would be a dot segment of the path, or hides one")
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
			return "", fmt.Errorf("{%s} has no value that can be asked with", p.name)
		}
		if p.inQuery {
			b.WriteString(url.QueryEscape(value))
		} else {
			b.WriteString(url.PathEscape(value))
		}
	}
	return b.String(), nil
}

// target is the URL that asks for the escaped ids.
func target(before string, ids []string, after string) (*url.URL, error) {
	path, query, _ := strings.Cut(before+strings.Join(ids, ",")+after, "?")
	plain, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("making the URL of a batch: %w", err)
	}
	return &url.URL{Path: plain, RawPath: path, RawQuery: query}, nil
}
