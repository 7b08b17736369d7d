package aggregate

import (
	"fmt"
	"strconv"

	"github.com/penstock/penstock/proxy/rawjson"
)

// Named is a part's value in the making of the answer; nil stands for nothing.
type Named struct {
	Name  string
	Value []byte
}

// Namespace puts each value under its part's name.
func Namespace(parts []Named) []byte {
	size := 2
	for _, p := range parts {
		size += len(p.Name) + len(p.Value) + 4
	}
	out := append(make([]byte, 0, size), '{')
	for _, p := range parts {
		if p.Value == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = strconv.AppendQuote(out, p.Name) // names are plain ASCII
		out = append(append(out, ':'), p.Value...)
	}
	return append(out, '}')
}

// Conflict says that two parts can't be merged.
type Conflict struct {
	Part, With string // With is the earlier one, "" where Part is no object
	Field      string // where they meet
}

// Error says what is wrong.
func (c *Conflict) Error() string {
	if c.With == "" {
		return fmt.Sprintf("part %s is no object, and deep merges objects", c.Part)
	}
	return fmt.Sprintf("parts %s and %s both have %s", c.With, c.Part, c.Field)
}

// Deep merges objects: fields keep the order in which they first come, values their bytes. Where two parts have one field both must have an object there.
// It stops at the first conflict.
func Deep(parts []Named) ([]byte, *Conflict) {
	root := &object{}
	for _, p := range parts {
		switch {
		case p.Value == nil:
			continue
		case !rawjson.IsObject(p.Value):
			return nil, &Conflict{Part: p.Name}
		}
		if c := root.take(p.Value, p.Name, ""); c != nil {
			return nil, c
		}
	}
	return root.append(nil), nil
}

// object is an object in the making.
type object struct {
	fields []*member
	byName map[string]*member
}

type member struct {
	written []byte // the name with its quotes
	part    string // that brought it
	value   []byte
	merged  *object // in the place of value, once two parts have brought an object
}

// take adds the fields of an object.
func (o *object) take(value []byte, part, path string) *Conflict {
	if o.byName == nil {
		o.byName = make(map[string]*member)
	}
	for written, v := range rawjson.Members(value) {
		name := rawjson.Text(written)
		m := o.byName[name]
		if m == nil {
			m = &member{written: written, part: part, value: v}
			o.fields, o.byName[name] = append(o.fields, m), m
			continue
		}
		if c := m.join(v, part, join(path, name)); c != nil {
			return c
		}
	}
	return nil
}

// join merges v into what is there.
func (m *member) join(v []byte, part, path string) *Conflict {
	if m.merged == nil {
		if !rawjson.IsObject(m.value) || !rawjson.IsObject(v) {
			return &Conflict{Part: part, With: m.part, Field: path}
		}
		m.merged = &object{}
		if c := m.merged.take(m.value, m.part, path); c != nil {
			return c
		}
	}
	if !rawjson.IsObject(v) {
		return &Conflict{Part: part, With: m.part, Field: path}
	}
	return m.merged.take(v, part, path)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (o *object) append(out []byte) []byte {
	out = append(out, '{')
	for i, m := range o.fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(out, m.written...), ':')
		if m.merged != nil {
			out = m.merged.append(out)
		} else {
			out = append(out, m.value...)
		}
	}
	return append(out, '}')
}
