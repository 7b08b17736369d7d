package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// aggregate wants parts that can be asked for, in some order, and put together.
func (k checker) aggregate(r *Route, n *node) {
	at := n.get("aggregate")
	if !k.sound(at) || r.Aggregate == nil {
		return
	}
	k.withoutUpstream(r, n, "the parts of an aggregate have upstreams of their own", "the parts' paths are written out in aggregate.parts")
	k.readOnly(r, n, "an answer of several parts can only be read")
	parts := at.get("parts")
	if k.sound(parts) && len(parts.fields) == 0 {
		k.at(parts, problemf("there is no part"))
	}
	for _, name := range inOrder(r.Aggregate.Parts) {
		if p := parts.get(name); k.sound(p) && p.kind == kindMap {
			k.part(r, name, p)
		}
	}
	k.circles(r, parts)
}

// inOrder lists the names of parts as they were written.
func inOrder(parts map[string]*Part) []string {
	names := slices.Collect(maps.Keys(parts))
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(parts[a].Order, parts[b].Order), strings.Compare(a, b))
	})
	return names
}

// part checks one part by itself, and what it takes from others.
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
			k.at(each, problemf("foreach leads to one value").or("such as %s.#.id: # stands for each element of a list", first))
		case !strings.Contains(p.Path, "{}") && p.Path != "":
			k.at(n.get("path"), problemf("every call would be the same").or("{} stands for the value of foreach"))
		}
		if r.Aggregate.Merge == MergeDeep {
			k.at(each, problemf("a list of answers can't be merged with objects").or("merge: namespace"))
		}
	}
	k.partDefault(r, p, n)
	k.partBatch(p, n)
}

// partOrigin wants an upstream that exists and a path.
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

// partDefault wants a default where one is to stand in, and only there.
func (k checker) partDefault(r *Route, p *Part, n *node) {
	at := n.get("default")
	switch {
	case p.OnError == OnErrorDefault && at == nil:
		k.at(written(n, "on_error"), problemf("there is no default").or("write one, such as default: []"))
	case p.OnError != OnErrorDefault && at != nil && k.whole(n.get("on_error")):
		k.at(at, problemf("the default would never be used").or("write on_error: default"))
	case r.Aggregate.Merge == MergeDeep && p.OnError == OnErrorDefault && k.sound(at) && at.kind != kindMap && at.kind != kindNull:
		k.at(at, problemf("merge: deep merges objects, and this is %v", at.kind).or("such as {}"))
	}
}

// reference checks what stands within braces in a part's path.
func (k checker) reference(r *Route, part, ref string, n *node) {
	at := n.get("path")
	if !k.sound(at) {
		return
	}
	name, field, dotted := strings.Cut(ref, ".")
	switch {
	case ref == "" && r.Aggregate.Parts[part].Foreach == "" && n.get("foreach") == nil:
		k.at(at, problemf("{} stands for the value of foreach, which is not there"))
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
		k.at(at, problemf("{%s} leads to no single value", clip(ref)).or("such as {user.manager_id}; foreach is for many"))
	default:
		k.otherPart(r, part, name, at)
	}
}

// matchNode is where the route's match was written.
func (r *Route) matchNode(k checker) *node {
	for i, other := range k.config.Routes {
		if other == r {
			return item(k.root.get("routes"), i).get("match")
		}
	}
	return nil
}

// otherPart wants a name to be that of another part.
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

// needs are the parts that a part is made of.
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

// circles wants no part to wait, over others, for itself.
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
			k.at(n.get(name), problemf("the parts wait for each other: %s", strings.Join(way, " → ")).or("one of them must do without the others"))
			return
		}
		state[name] = open
		for _, need := range p.needs() {
			if need != name { // said already
				visit(need, append(slices.Clone(way), name))
			}
		}
		state[name] = closed
	}
	for _, name := range inOrder(r.Aggregate.Parts) {
		visit(name, nil)
	}
}
