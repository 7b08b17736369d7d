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
}

// problemf makes a problem without a hint.
func problemf(format string, args ...any) *problem {
	return &problem{message: fmt.Sprintf(format, args...)}
}

// or adds a hint.
func (p *problem) or(format string, args ...any) *problem {
	p.hint = fmt.Sprintf(format, args...)
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
