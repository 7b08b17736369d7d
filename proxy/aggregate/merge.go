package aggregate

import (
	"fmt"
	"strings"

	"github.com/penstock/penstock/proxy/rawjson"
)

// Merge says how the parts become one object.
type Merge uint8

const (
	Namespace Merge = iota // each part under its name
	Deep                   // the parts, which are objects, merged into one
)

// named is a part's value. A nil value means that the part is left out.
type named struct {
	name  string
	value []byte
}

// namespace returns an object with each part under its name, in their order.
func namespace(parts []named) []byte {
	out := []byte{'{'}
	for _, p := range parts {
		if p.value == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(rawjson.AppendQuoted(out, p.name), ':')
		out = append(out, p.value...)
	}
	return append(out, '}')
}

// ConflictError lists the fields in which merged parts contradict each other.
type ConflictError struct{ Fields []string }

// Error lists the fields.
func (e *ConflictError) Error() string {
	return "parts contradict each other in " + strings.Join(e.Fields, ", ")
}

// deep merges the parts into one object, and objects under the same name recursively. Members stand
// in the order in which their names first occur. Null parts are left out.
func deep(parts []named) ([]byte, error) {
	var objects [][]byte
	var wrong []string
	for _, p := range parts {
		switch {
		case p.value == nil, rawjson.Kind(p.value) == 'n':
		case rawjson.Kind(p.value) != '{':
			wrong = append(wrong, p.name+" (not an object)")
		default:
			objects = append(objects, p.value)
		}
	}
	m := merger{wrong: wrong}
	out := m.merge(nil, objects, "")
	if m.wrong != nil {
		return nil, &ConflictError{m.wrong}
	}
	return out, nil
}

type merger struct{ wrong []string }

// merge appends the union of objects.
func (m *merger) merge(dst []byte, objects [][]byte, at string) []byte {
	if len(objects) == 1 {
		return append(dst, objects[0]...)
	}
	var order []string
	values := map[string][][]byte{}
	for _, o := range objects {
		own := map[string]bool{}
		for name, v := range rawjson.Members(o) {
			if own[name] { // readers differ in which of the two they take
				m.wrong = append(m.wrong, fmt.Sprintf("%q (twice in one part)", strings.TrimPrefix(at+"."+name, ".")))
			}
			if own[name] = true; values[name] == nil {
				order = append(order, name)
			}
			values[name] = append(values[name], v)
		}
	}
	dst = append(dst, '{')
	for i, name := range order {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(rawjson.AppendQuoted(dst, name), ':')
		dst = m.member(dst, values[name], strings.TrimPrefix(at+"."+name, "."))
	}
	return append(dst, '}')
}

// member appends the value of one name, which is a single value or a merger of objects.
func (m *merger) member(dst []byte, values [][]byte, at string) []byte {
	if len(values) == 1 {
		return append(dst, values[0]...)
	}
	for _, v := range values {
		if rawjson.Kind(v) != '{' {
			m.wrong = append(m.wrong, fmt.Sprintf("%q", at))
			return append(dst, "null"...)
		}
	}
	return m.merge(dst, values, at)
}
