package config

import (
	"cmp"
	"fmt"
	"slices"
)

// maxErrors bounds the collected mistakes. A file with more is not a configuration.
const maxErrors = 1000

// report collects the mistakes of one file.
type report struct {
	file     string
	errs     Errors
	warnings Warnings
}

// problem is a mistake in a value, without its position.
type problem struct {
	message string
	hint    string
	// repeats and hintRepeats are true if the message or the hint may repeat the value. If the
	// value came from the environment or a file, it may be a secret, and discreet removes it.
	repeats, hintRepeats bool
}

// problemf returns a problem without a hint.
func problemf(format string, args ...any) *problem {
	return &problem{message: fmt.Sprintf(format, args...), repeats: len(args) > 0}
}

// or adds a hint.
func (p *problem) or(format string, args ...any) *problem {
	p.hint, p.hintRepeats = fmt.Sprintf(format, args...), len(args) > 0
	return p
}

// discreet removes the value from the problem if it came from a reference.
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

// at adds a problem of a node.
func (r *report) at(n *node, p *problem) { r.add(n.line, n.column, n.path(), p) }

// atKey adds a problem of a key.
func (r *report) atKey(key *node, p *problem) {
	n := node{parent: key.parent, label: keyLabel(key.text)}
	r.add(key.line, key.column, n.path(), p)
}

// add adds a problem at a position.
func (r *report) add(line, column int, path string, p *problem) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, &Error{r.file, max(1, line), max(1, column), path, p.message, p.hint})
	}
}

// err returns all mistakes sorted by line, without duplicates. Duplicates occur because each route
// reads the values of `defaults` again, and each alias reads the values of its anchor.
func (r *report) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	r.errs = inOrderOnce(r.errs)
	return r.errs
}

// inOrderOnce sorts by position and removes repeated mistakes of the same position.
func inOrderOnce(list []*Error) []*Error {
	slices.SortStableFunc(list, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	seen := make(map[Error]bool, len(list))
	return slices.DeleteFunc(list, func(e *Error) bool {
		id := *e
		id.Path = ""
		dup := seen[id]
		seen[id] = true
		return dup
	})
}
