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
	kindBroken // the problem is already reported; later steps skip the node
)

// String returns the kind's name for messages.
func (k kind) String() string {
	return [...]string{"a single value", "nothing", "a map", "a list", "unreadable"}[k]
}

// node is one value of the file after aliases, merge keys and references were resolved. It records
// its position, so that every later step can report mistakes there.
type node struct {
	kind kind
	text string // of a scalar, with references expanded
	// source is the scalar as written. Messages quote it, so that they don't reveal an expanded
	// secret.
	source string
	plain  bool    // a scalar that may be a number or a boolean, because it is not quoted or consists of one reference
	fields []field // of a map, in the file's order
	items  []*node // of a list
	parent *node
	label  string // the position within the parent: ".key" or "[2]"
	line   int
	column int
}

// field is one key of a map with its value.
type field struct {
	key   *node // a scalar
	value *node
}

// get returns the value of a key, or nil if the map lacks the key.
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

// maxLabel bounds the part of a key that messages repeat.
const maxLabel = 60

// path returns the node's path from the root, such as routes[2].cache.
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

// keyLabel returns the label of the value of a key.
func keyLabel(key string) string { return "." + clip(key) }

// indexLabel returns the label of an element of a list.
func indexLabel(i int) string { return "[" + strconv.Itoa(i) + "]" }

// clip shortens a user's text so that it fits into one line of a message.
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

// quoted returns a scalar as messages show it.
func (n *node) quoted() string { return `"` + clip(n.source) + `"` }
