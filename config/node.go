package config

import (
	"strconv"
	"strings"
)

// kind is the shape of a node.
type kind uint8

const (
	kindScalar kind = iota
	kindNull        // a key without a value
	kindMap
	kindList
	kindBroken // its mistake is reported already: later steps pass over it in silence
)

// String names the kind as a user knows it.
func (k kind) String() string {
	return [...]string{"a single value", "nothing", "a map", "a list", "unreadable"}[k]
}

// node is one value of the file after aliases, merge keys and references were resolved. It knows where it was written, so
// that every later step can report its mistakes there.
type node struct {
	kind   kind
	text   string  // of a scalar, references expanded
	source string  // of a scalar, as written: what messages quote, so that a secret that was expanded stays out of them
	plain  bool    // a scalar that may be a number or a boolean: not quoted, or a reference as a whole
	fields []field // of a map, in the file's order
	items  []*node // of a list
	parent *node
	label  string // how the parent calls it: ".key" or "[2]"
	line   int
	column int
}

// field is one key of a map with its value.
type field struct {
	key   *node // a scalar
	value *node
}

// get returns the value of a key.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, f := range n.fields {
		if f.key.text == key {
			return f.value
		}
	}
	return nil
}

// maxLabel bounds how much of a key is repeated in messages.
const maxLabel = 60

// path is the node's path from the root, such as routes[2].cache.
func (n *node) path() string {
	if n == nil || n.parent == nil {
		return ""
	}
	var labels []string
	for at := n; at.parent != nil; at = at.parent {
		labels = append(labels, at.label)
	}
	var b strings.Builder
	for i := len(labels) - 1; i >= 0; i-- {
		b.WriteString(labels[i])
	}
	return strings.TrimPrefix(b.String(), ".")
}

// keyLabel is the label of the value of a key.
func keyLabel(key string) string { return "." + clip(key) }

// indexLabel is the label of an element of a list.
func indexLabel(i int) string { return "[" + strconv.Itoa(i) + "]" }

// clip shortens what a user wrote to what a message can hold on one line.
func clip(s string) string {
	if len(s) > maxLabel {
		s = strings.ToValidUTF8(s[:maxLabel], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '·'
		}
		return r
	}, s)
}

// quoted is a scalar as messages show it.
func (n *node) quoted() string { return `"` + clip(n.source) + `"` }
