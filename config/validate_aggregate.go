package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// aggregate requires that the gateway can call all parts, in some order, and combine their
// responses.
func (k checker) aggregate(r *Route, n *node) {
	at := n.get("aggregate")
	if !k.sound(at) || r.Aggregate == nil {
		return
	}
	k.withoutUpstream(r, n, "the parts of an aggregate have their own upstreams", "write the paths in aggregate.parts")
	k.readOnly(r, n, "an aggregate allows only reads")
	parts := at.get("parts")
	if k.sound(parts) && len(parts.fields) == 0 {
		k.at(parts, problemf("the list of parts is empty"))
	}
	for _, name := range inOrder(r.Aggregate.Parts) {
		if p := parts.get(name); k.sound(p) && p.kind == kindMap {
			k.part(r, name, p)
		}
	}
	k.circles(r, parts)
}

// inOrder returns the names of the parts in the order of the file.
func inOrder(parts map[string]*Part) []string {
	names := slices.Collect(maps.Keys(parts))
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(parts[a].Order, parts[b].Order), strings.Compare(a, b))
	})
	return names
}

// part checks one part, and its references to other parts.
func (k checker) part(r *Route, name string, n *node) {
	p := r.Aggregate.Parts[name]
	k.partOrigin(p, n)
	for _, m := range templateVariable.FindAllStringSubmatch(p.Path, -1) {
		k.reference(r, name, m[1], n)
	}
	if each := n.get("foreach"); k.sound(each) && p.Foreach != "" {
		first, _, dotted := strings.Cut(p.Foreach, ".")
		switch {
		case !k.otherPart(r, name, first, each):
		case !dotted || !slices.Contains(strings.Split(p.Foreach, "."), "#"):
			k.at(each, problemf("foreach leads to one value").or("such as %s.#.id: # selects each element of a list", first))
		case !strings.Contains(p.Path, "{}") && p.Path != "":
			k.at(n.get("path"), problemf("every call would be equal").or("{} stands for the value of foreach"))
		}
		if r.Aggregate.Merge == MergeDeep {
			k.at(each, problemf("a list of answers can't be merged with objects").or("merge: namespace"))
		}
	}
	k.partDefault(r, p, n)
	k.partBatch(p, n)
}

// partOrigin requires an existing upstream and a path.
func (k checker) partOrigin(p *Part, n *node) {
	batch := n.get("batch") != nil
	if n.get("path") == nil && !batch {
		k.at(n, problemf("`path` is missing"))
	}
	switch up := n.get("upstream"); {
	case up == nil && batch:
	case up == nil:
		k.at(n, problemf("the part has no upstream").or("name one with `upstream`"))
	case k.sound(up):
		k.upstreamExists(up, p.Upstream)
	}
}

// partDefault requires a default if and only if on_error is default.
func (k checker) partDefault(r *Route, p *Part, n *node) {
	at := n.get("default")
	switch {
	case p.OnError == OnErrorDefault && at == nil:
		k.at(written(n, "on_error"), problemf("the default is missing").or("write one, such as default: []"))
	case p.OnError != OnErrorDefault && at != nil && k.whole(n.get("on_error")):
		k.at(at, problemf("the default has no effect").or("write on_error: default"))
	case r.Aggregate.Merge == MergeDeep && p.OnError == OnErrorDefault && k.sound(at) && at.kind != kindMap && at.kind != kindNull:
		k.at(at, problemf("merge: deep merges objects, and this is %v", at.kind).or("such as {}"))
	}
}

// reference checks the text in braces in a part's path.
func (k checker) reference(r *Route, part, ref string, n *node) {
	at := n.get("path")
	if !k.sound(at) {
		return
	}
	name, field, dotted := strings.Cut(ref, ".")
	switch {
	case ref == "" && r.Aggregate.Parts[part].Foreach == "" && n.get("foreach") == nil:
		k.at(at, problemf("{} stands for the value of foreach, which is missing"))
	case ref == "":
	case !dotted && r.Aggregate.Parts[name] != nil:
		k.at(at, problemf("{%s} is a whole part", clip(ref)).or("name a field of it, such as {%s.id}", name))
	case !dotted && k.sound(r.matchNode(k)):
		if p := checkTemplate("{"+ref+"}", r.Match.Path); p != nil {
			k.at(at, p)
		}
	case !dotted:
	case name == "query" && field != "":
	case field == "" || strings.Contains("."+field+".", ".#."):
		k.at(at, problemf("{%s} does not lead to a single value", clip(ref)).or("such as {user.manager_id}; use foreach for several"))
	default:
		k.otherPart(r, part, name, at)
	}
}

// matchNode returns the node of the route's match.
func (r *Route) matchNode(k checker) *node {
	for i, other := range k.config.Routes {
		if other == r {
			return item(k.root.get("routes"), i).get("match")
		}
	}
	return nil
}

// otherPart requires that name is another part.
func (k checker) otherPart(r *Route, part, name string, at *node) bool {
	switch {
	case name == part:
		k.at(at, problemf("part %s needs itself", name))
	case r.Aggregate.Parts[name] == nil:
		p := problemf("there is no part %s", clip(name))
		k.at(at, p.or("%s", suggestion(name, inOrder(r.Aggregate.Parts))))
	default:
		return true
	}
	return false
}

// needs returns the names of the parts on which p depends.
func (p *Part) needs() []string {
	var out []string
	for _, m := range templateVariable.FindAllStringSubmatch(p.Path, -1) {
		if name, _, dotted := strings.Cut(m[1], "."); dotted && name != "query" {
			out = append(out, name)
		}
	}
	if first, _, _ := strings.Cut(p.Foreach, "."); first != "" {
		out = append(out, first)
	}
	return out
}

// circles refuses parts that wait for each other in a cycle.
func (k checker) circles(r *Route, n *node) {
	const open, closed = 1, 2
	state := map[string]int{}
	var visit func(name string, way []string)
	visit = func(name string, way []string) {
		p := r.Aggregate.Parts[name]
		if p == nil || state[name] == closed {
			return
		}
		if state[name] == open {
			way = append(way[slices.Index(way, name):], name)
			k.at(n.get(name), problemf("the parts wait for each other: %s", strings.Join(way, " → ")).or("remove one of the references"))
			return
		}
		state[name] = open
		for _, need := range p.needs() {
			if need != name { // already reported
				visit(need, append(slices.Clone(way), name))
			}
		}
		state[name] = closed
	}
	for _, name := range inOrder(r.Aggregate.Parts) {
		visit(name, nil)
	}
}
