package rawjson

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Path leads from a value to a value inside it, or with # to several: `user.manager_id`,
// `orders.0.id`, `orders.#.item_id`. A name is the exact text between two dots. A Path is
// immutable.
type Path struct{ steps []string }

// ErrPath is wrapped by the errors of ParsePath.
var ErrPath = errors.New("not a path")

const maxSteps = 32

// ParsePath parses a path. "" leads to the value itself.
func ParsePath(s string) (Path, error) {
	if s == "" {
		return Path{}, nil
	}
	steps := strings.Split(s, ".")
	if len(steps) > maxSteps {
		return Path{}, fmt.Errorf("%w: more than %d steps", ErrPath, maxSteps)
	}
	for _, step := range steps {
		if step == "" || strings.ContainsFunc(step, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`{}"\`, r) }) {
			return Path{}, fmt.Errorf("%w: each step must be a name, a number or #", ErrPath)
		}
	}
	return Path{steps}, nil
}

// Many reports whether the path has a # and so can lead to several values.
func (p Path) Many() bool {
	for _, step := range p.steps {
		if step == "#" {
			return true
		}
	}
	return false
}

// First returns the first step and the remaining path.
func (p Path) First() (step string, rest Path) {
	if len(p.steps) == 0 {
		return "", p
	}
	return p.steps[0], Path{p.steps[1:]}
}

// String returns the path as written.
func (p Path) String() string { return strings.Join(p.steps, ".") }

// Find returns the value to which the path leads. ok is false if there is no such value, or if an
// object on the way has the name twice: readers differ in which value they take (RFC 8259 §4), so
// Find chooses neither. For a path with # use All.
func (p Path) Find(value []byte) (found []byte, ok bool) {
	for _, step := range p.steps {
		if value, ok = child(value, step); !ok {
			return nil, false
		}
	}
	return Trim(value), true
}

// All returns the values to which the path leads, in order. ok is false if a step before a # leads
// nowhere or not to an array. If an element of an array lacks the value after the #, All returns
// nil for it.
func (p Path) All(value []byte) (found [][]byte, ok bool) {
	for i, step := range p.steps {
		if step != "#" {
			if value, ok = child(value, step); !ok {
				return nil, false
			}
			continue
		}
		if Kind(value) != '[' {
			return nil, false
		}
		rest := Path{p.steps[i+1:]}
		for element := range Elements(value) {
			found = rest.gather(found, element)
		}
		return found, true
	}
	return [][]byte{Trim(value)}, true
}

// Why explains why Find or All returned false for value.
func (p Path) Why(value []byte) string {
	for _, step := range p.steps {
		if step == "#" {
			break
		}
		if count(value, step) > 1 {
			return fmt.Sprintf("has %s twice, and readers differ in which value they take", step)
		}
		next, ok := child(value, step)
		if !ok {
			break
		}
		value = next
	}
	return "has no " + p.String()
}

// Lacks reports whether the path ends at null, at an object without the name, or at an array
// without the element. Writers leave out empty values, so that is not an error. It returns false if
// a value of another kind, or a repeated name, ends the path.
func (p Path) Lacks(value []byte) bool {
	for _, step := range p.steps {
		switch Kind(value) {
		case 'n':
			return true
		case '{':
			if n := count(value, step); n != 1 {
				return n == 0 && step != "#"
			}
		case '[':
			if step == "#" {
				return false
			}
			if _, err := strconv.ParseUint(step, 10, 31); err != nil {
				return false
			}
		default:
			return false
		}
		next, ok := child(value, step)
		if !ok {
			return true
		}
		value = next
	}
	return Kind(value) == 'n'
}

// count returns the number of members of an object with the name.
func count(value []byte, name string) int {
	n := 0
	for other := range Members(value) {
		if other == name {
			n++
		}
	}
	return n
}

// gather appends the values to which the path leads from an element.
func (p Path) gather(found [][]byte, element []byte) [][]byte {
	if !p.Many() {
		value, _ := p.Find(element)
		return append(found, value)
	}
	values, ok := p.All(element)
	if !ok {
		return append(found, nil)
	}
	return append(found, values...)
}

// child returns the value that one step leads to.
func child(value []byte, step string) ([]byte, bool) {
	switch Kind(value) {
	case '{':
		var found []byte
		for name, v := range Members(value) {
			if name != step {
				continue
			}
			if found != nil {
				return nil, false
			}
			found = v
		}
		return found, found != nil
	case '[':
		n, err := strconv.ParseUint(step, 10, 31)
		if err != nil {
			return nil, false
		}
		for v := range Elements(value) {
			if n == 0 {
				return v, true
			}
			n--
		}
	}
	return nil, false
}
