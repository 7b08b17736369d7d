package config

import (
	"cmp"
	"fmt"
	"slices"
)

// maxErrors bounds the mistakes that are collected: a file with more is not a configuration.
const maxErrors = 1000

// report collects the mistakes of one file.
type report struct {
	file string
	errs Errors
}

// problem is what is wrong with a value, before it is known where.
type problem struct {
	message string
	hint    string
	// repeats and hintRepeats tell that the message or hint may repeat what the value says. Where that came from the
	// environment or a file it may be a secret, and is left out.
	repeats, hintRepeats bool
}

// problemf makes a problem without a hint.
func problemf(format string, args ...any) *problem {
	return &problem{message: fmt.Sprintf(format, args...), repeats: len(args) > 0}
}

// or adds a hint.
func (p *problem) or(format string, args ...any) *problem {
	p.hint, p.hintRepeats = fmt.Sprintf(format, args...), len(args) > 0
	return p
}

// discreet makes the problem fit to be told of a value that came by a reference.
func (p *problem) discreet(n *node, s *scalar) *problem {
	if n.text == n.source {
		return p
	}
	if p.repeats {
		p.message = n.quoted() + " is not " + s.name
	}
	if p.hintRepeats {
		p.hint = ""
	}
	return p
}

// at notes a problem of a node.
func (r *report) at(n *node, p *problem) { r.add(n.line, n.column, n.path(), p) }

// atKey notes a problem of a key.
func (r *report) atKey(key *node, p *problem) {
	n := node{parent: key.parent, label: keyLabel(key.text)}
	r.add(key.line, key.column, n.path(), p)
}

// add notes a problem at a position.
func (r *report) add(line, column int, path string, p *problem) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, &Error{r.file, max(1, line), max(1, column), path, p.message, p.hint})
	}
}

// err gives all mistakes by line, each once: a value from `defaults` is read again for each route, an anchor's for each alias.
func (r *report) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	seen := make(map[Error]bool, len(r.errs))
	r.errs = slices.DeleteFunc(r.errs, func(e *Error) bool {
		id := *e
		id.Path = ""
		dup := seen[id]
		seen[id] = true
		return dup
	})
	return r.errs
}
