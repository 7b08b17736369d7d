package rawjson

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Path leads from a value to one within it, or with # to many: `user.manager_id`, `orders.0.id`, `orders.#.item_id`. Names are taken as they are
// written between the dots. It is immutable.
type Path struct{ steps []string }

// ErrPath is wrapped by the errors of ParsePath.
var ErrPath = errors.New("not a path")

const maxSteps = 32

// ParsePath reads a path. "" leads to the value itself.
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
			return Path{}, fmt.Errorf("%w: a step is a name, a number or #", ErrPath)
		}
	}
	return Path{steps}, nil
}

// Many reports whether the path has a #, and so leads to any number of values.
func (p Path) Many() bool {
	for _, step := range p.steps {
		if step == "#" {
			return true
		}
	}
	return false
}

// First is the first step and the path from there.
func (p Path) First() (step string, rest Path) {
	if len(p.steps) == 0 {
		return "", p
	}
	return p.steps[0], Path{p.steps[1:]}
}

// String is the path as it is written.
func (p Path) String() string { return strings.Join(p.steps, ".") }

// Find is the value that the path leads to; not ok where there is none. Of a path with # use All.
func (p Path) Find(value []byte) (found []byte, ok bool) {
	for _, step := range p.steps {
		if value, ok = child(value, step); !ok {
			return nil, false
		}
	}
	return Trim(value), true
}

// All are the values that the path leads to, in order. It is not ok where a step before a # leads nowhere or to what is no array; elements of
// an array that do not have what follows the # are given as nil.
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

// gather appends what the path leads to from an element.
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

// child is one step into a value.
func child(value []byte, step string) ([]byte, bool) {
	switch Kind(value) {
	case '{':
		for name, v := range Members(value) {
			if name == step {
				return v, true
			}
		}
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
