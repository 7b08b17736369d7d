package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxNodes bounds the number of values that a file may have after the expansion of aliases.
const maxNodes = 500_000

// resolver converts YAML's nodes to ours. It follows aliases, applies merge keys, expands
// references and finds duplicate keys, so that no later step has to.
type resolver struct {
	*report
	expander expander
	made     int                 // number of nodes so far
	open     map[*yaml.Node]bool // anchors being resolved; an alias to one of them is a cycle
}

// resolve builds the node for y.
func (r *resolver) resolve(y *yaml.Node, parent *node, label string) *node {
	n := &node{parent: parent, label: label, line: y.Line, column: y.Column}
	if r.made++; r.made > maxNodes {
		if r.made == maxNodes+1 {
			r.at(n, problemf("the aliases of this file expand to more than %d values", maxNodes))
		}
		n.kind = kindBroken
		return n
	}
	switch y.Kind {
	case yaml.AliasNode:
		return r.alias(y, n)
	case yaml.MappingNode:
		r.mapping(y, n)
	case yaml.SequenceNode:
		r.sequence(y, n)
	default:
		r.scalar(y, n)
	}
	return n
}

// alias resolves the alias's target again under its new parent.
func (r *resolver) alias(y *yaml.Node, n *node) *node {
	if y.Alias == nil || r.open[y.Alias] {
		r.at(n, problemf("alias *%s contains itself", clip(y.Value)))
		n.kind = kindBroken
		return n
	}
	return r.resolve(y.Alias, n.parent, n.label)
}

// sequence resolves the items of a list.
func (r *resolver) sequence(y *yaml.Node, n *node) {
	n.kind = kindList
	r.tagged(y, n, "!!seq")
	r.open[y] = true
	defer delete(r.open, y)
	for i, item := range y.Content {
		n.items = append(n.items, r.resolve(item, n, indexLabel(i)))
	}
}

// mapping resolves the fields of a map. The map's own key wins over one from a merge key.
func (r *resolver) mapping(y *yaml.Node, n *node) {
	n.kind = kindMap
	r.tagged(y, n, "!!map")
	r.open[y] = true
	defer delete(r.open, y)
	lines := make(map[string]int, len(y.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		if y.Content[i].Tag == "!!merge" {
			merges = append(merges, y.Content[i+1])
			continue
		}
		key := r.key(y.Content[i], n)
		if key == nil {
			continue
		}
		if line, ok := lines[key.text]; ok {
			r.atKey(key, problemf("the key occurs twice").or("the first is in line %d", line))
			continue
		}
		lines[key.text] = key.line
		n.fields = append(n.fields, field{key, r.resolve(y.Content[i+1], n, keyLabel(key.text))})
	}
	for _, m := range merges {
		r.merge(m, n, lines)
	}
}

// key reads a key. It returns nil if the key is invalid.
func (r *resolver) key(y *yaml.Node, parent *node) *node {
	n := &node{parent: parent, line: y.Line, column: y.Column, text: y.Value, source: y.Value}
	switch {
	case y.Kind != yaml.ScalarNode || y.Style&yaml.TaggedStyle != 0:
		r.add(y.Line, y.Column, parent.path(), problemf("a key must be a plain word"))
	case strings.Contains(y.Value, "${"):
		r.atKey(n, problemf("a key can't contain references: only values are expanded"))
	default:
		return n
	}
	return nil
}

// merge adds the fields of `<<: *anchor` or `<<: [*a, *b]` that the map does not have yet.
func (r *resolver) merge(y *yaml.Node, n *node, lines map[string]int) {
	from := r.resolve(y, n, keyLabel("<<"))
	sources := []*node{from}
	if from.kind == kindList {
		sources = from.items
	}
	for _, s := range sources {
		if s.kind == kindBroken {
			continue
		}
		if s.kind != kindMap {
			r.at(s, problemf("<< needs a map or a list of maps, this is %v", s.kind))
			continue
		}
		for _, f := range s.fields {
			if _, ok := lines[f.key.text]; ok {
				continue
			}
			lines[f.key.text] = f.key.line
			f.key.parent, f.value.parent = n, n
			n.fields = append(n.fields, f)
		}
	}
}

// scalar reads a single value and expands its references.
func (r *resolver) scalar(y *yaml.Node, n *node) {
	if y.Tag == "!!null" && y.Style == 0 {
		n.kind = kindNull
		return
	}
	n.source, n.text, n.plain = y.Value, y.Value, y.Style == 0
	r.tagged(y, n, "!!str")
	if !hasReference(y.Value) {
		return
	}
	text, whole, p := r.expander.expand(y.Value)
	if p != nil {
		r.at(n, p)
		n.kind = kindBroken
		return
	}
	n.text, n.plain = text, n.plain || whole
}

// tagged refuses explicit tags, except the one that matches the node's kind.
func (r *resolver) tagged(y *yaml.Node, n *node, allowed string) {
	if y.Style&yaml.TaggedStyle != 0 && y.Tag != allowed {
		r.at(n, problemf("tag %s is not supported", clip(y.Tag)).or("leave it out"))
		n.kind = kindBroken
	}
}
