package rawjson

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Path leads to values in a document: names and positions parted by dots, with # for every element of an array, as in data.items or
// orders.#.item_id. A backslash takes the next character as it is: a\.b is one name. The zero Path is the document itself.
type Path struct {
	steps []step
}

type step struct {
	name string
	all  bool // #
}

// maxSteps bounds a path: no document is as deep.
const maxSteps = 64

// ParsePath reads a path. Empty names are an error.
func ParsePath(s string) (Path, error) {
	if s == "" {
		return Path{}, nil
	}
	var p Path
	for rest, more := s, true; more; {
		var st step
		var err error
		if st, rest, more, err = parseStep(rest); err != nil {
			return Path{}, err
		}
		if p.steps = append(p.steps, st); len(p.steps) > maxSteps {
			return Path{}, fmt.Errorf("a path has no more than %d steps", maxSteps)
		}
	}
	return p, nil
}

// parseStep reads up to the next dot; more tells that there was one.
func parseStep(s string) (st step, rest string, more bool, err error) {
	var name strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			st, err = makeStep(s[:i], name.String())
			return st, s[i+1:], true, err
		case c == '\\' && i+1 < len(s):
			i++
			name.WriteByte(s[i])
		case c == '\\':
			return st, "", false, errors.New("a path ends in a backslash")
		case c < ' ' || c == 0x7f:
			return st, "", false, errors.New("a path has a control character")
		default:
			name.WriteByte(c)
		}
	}
	st, err = makeStep(s, name.String())
	return st, "", false, err
}

func makeStep(written, name string) (step, error) {
	switch {
	case written == "":
		return step{}, errors.New("a path has an empty step")
	case written == "#":
		return step{all: true}, nil
	}
	return step{name: name}, nil
}

// Whole reports whether the path is the document itself.
func (p Path) Whole() bool { return len(p.steps) == 0 }

// Many reports whether the path leads to any number of values.
func (p Path) Many() bool {
	for _, s := range p.steps {
		if s.all {
			return true
		}
	}
	return false
}

// First is the path's first name, and the path behind it.
func (p Path) First() (name string, rest Path) {
	if len(p.steps) == 0 || p.steps[0].all {
		return "", p
	}
	return p.steps[0].name, Path{p.steps[1:]}
}

// BeginsWithAll reports whether the path begins with #.
func (p Path) BeginsWithAll() bool { return len(p.steps) > 0 && p.steps[0].all }

// BeginsWithIndex reports whether the path begins with a position.
func (p Path) BeginsWithIndex() bool {
	if len(p.steps) == 0 || p.steps[0].all {
		return false
	}
	_, err := strconv.ParseUint(p.steps[0].name, 10, 31)
	return err == nil
}

// Select is the value that the path leads to. With # it is an array of all that are there, made anew from their own bytes.
func (p Path) Select(doc []byte) (value []byte, ok bool) {
	if !p.Many() {
		p.walk(Trim(doc), func(v []byte) bool { value, ok = v, true; return false })
		return value, ok
	}
	if !p.reachesArray(doc) {
		return nil, false
	}
	value = append(value, '[')
	p.walk(Trim(doc), func(v []byte) bool {
		if len(value) > 1 {
			value = append(value, ',')
		}
		value = append(value, v...)
		return true
	})
	return append(value, ']'), true
}

// reachesArray reports whether there is an array where the path has its first #.
func (p Path) reachesArray(doc []byte) bool {
	head := Path{}
	for _, s := range p.steps {
		if s.all {
			break
		}
		head.steps = append(head.steps, s)
	}
	v, ok := head.Select(doc)
	return ok && IsArray(v)
}

// Each calls yield with every value that the path leads to, in the document's order, until yield returns false.
func (p Path) Each(doc []byte, yield func(value []byte) bool) { p.walk(Trim(doc), yield) }

func (p Path) walk(v []byte, yield func([]byte) bool) bool {
	if len(p.steps) == 0 {
		return yield(v)
	}
	s, rest := p.steps[0], Path{p.steps[1:]}
	switch {
	case s.all:
		for e := range Elements(v) {
			if !rest.walk(e, yield) {
				return false
			}
		}
	case IsArray(v):
		at, err := strconv.ParseUint(s.name, 10, 31)
		if err != nil {
			return true
		}
		for e := range Elements(v) {
			if at == 0 {
				return rest.walk(e, yield)
			}
			at--
		}
	default:
		for name, value := range Members(v) {
			if nameIs(name, s.name) {
				return rest.walk(value, yield)
			}
		}
	}
	return true
}

// nameIs compares a name as it is written with what it is to mean.
func nameIs(written []byte, name string) bool {
	if len(written) == len(name)+2 && string(written[1:len(written)-1]) == name {
		return true
	}
	return len(written) > len(name)+2 && Text(written) == name
}
