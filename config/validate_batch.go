package config

import (
	"slices"
	"strings"
)

// batch requires a route that reads single objects, and a call that can fetch many of them.
func (k checker) batch(r *Route, n *node) {
	at := n.get("batch")
	if !k.sound(at) || r.Batch == nil {
		return
	}
	k.withoutUpstream(r, n, "a batch has its own upstream", "write the path in batch.path")
	k.readOnly(r, n, "a batch allows only reads")
	if up := at.get("upstream"); k.sound(up) {
		k.upstreamExists(up, r.Batch.Upstream)
	}
	if k.sound(n.get("match")) {
		k.batchPath(r, at)
	}
	if key := at.get("key"); k.sound(key) && (r.Batch.Key == "" || slices.Contains(strings.Split(r.Batch.Key, "."), "#")) {
		k.at(key, problemf("the path must lead to one id").or("such as id"))
	}
	if items := at.get("items"); k.sound(items) && slices.Contains(strings.Split(r.Batch.Items, "."), "#") {
		k.at(items, problemf("the path must lead to the array itself").or("such as data"))
	}
}

// batchPath requires the ids in the query, and a captured id.
func (k checker) batchPath(r *Route, n *node) {
	id := r.BatchID()
	if id == "" && k.whole(n.get("key")) {
		k.at(written(n, "key"), problemf("match.path captures no id, or several values").or("capture one part, such as /items/{id}, or one with the name of `key`"))
		return
	}
	at := n.get("path")
	if !k.sound(at) {
		return
	}
	path, query, _ := strings.Cut(r.Batch.Path, "?")
	if strings.Contains(path, "{ids}") || strings.Count(query, "{ids}") != 1 {
		k.at(at, problemf("{ids} must occur once, in the query").or("such as /items?ids={ids}"))
	}
	others := slices.DeleteFunc(captureNames(r.Match.Path), func(name string) bool { return name == id })
	for _, m := range templateVariable.FindAllStringSubmatch(r.Batch.Path, -1) {
		if m[1] != "ids" && !slices.Contains(others, m[1]) {
			k.at(at, problemf("the ids of one call have no common {%s}", clip(m[1])).or("{ids} are the ids"))
		}
	}
}

// withoutUpstream refuses settings that need an upstream on a route without its own.
func (k checker) withoutUpstream(r *Route, n *node, whose, path string) {
	if up := n.get("upstream"); up != nil {
		k.at(up, problemf("%s", whose).or("leave `upstream` out"))
	}
	if w := n.get("rewrite"); k.own(n, "rewrite") && k.sound(w) {
		k.at(w, problemf("the route has no upstream whose path could be rewritten").or("%s", path))
	}
	if up := n.get("upgrade"); k.sound(up) && r.Upgrade != UpgradeOff && k.own(n, "upgrade") {
		k.at(up, problemf("the route has no upstream to which a connection could be upgraded").or("upgrade: off"))
	}
	for i, e := range r.Errors {
		if at := item(n.get("errors"), i).get("serve"); k.sound(at) && e.Serve != "" && k.own(n, "errors") {
			k.at(at, problemf("the route has no upstream to serve the page from").or("give a `body`"))
		}
	}
}

// readOnly refuses methods other than GET and HEAD.
func (k checker) readOnly(r *Route, n *node, why string) {
	methods := n.get("match").get("methods")
	if !k.sound(n.get("match")) {
		return
	}
	for i, m := range r.Match.Methods {
		if m != "GET" && m != "HEAD" {
			k.at(item(methods, i), problemf("%s", why).or("[GET, HEAD]"))
		}
	}
}

// partBatch checks the batch of a part. The named route must have a batch, the part's calls must
// depend only on the value of foreach, and both must have the same upstream.
func (k checker) partBatch(p *Part, n *node) {
	at := n.get("batch")
	if !k.sound(at) {
		return
	}
	var named *Route
	var names []string
	for _, r := range k.config.Routes {
		if r.Batch != nil {
			names = append(names, r.Name)
			if r.Name == p.Batch {
				named = r
			}
		}
	}
	if named == nil {
		if !k.wroteBatch(p.Batch) {
			k.at(at, problemf("there is no route %s with a batch", at.quoted()).or("%s", suggestion(p.Batch, names)))
		}
		return
	}
	if n.get("foreach") == nil {
		k.at(at, problemf("a batch needs several calls").or("write `foreach`, or leave `batch` out"))
	}
	if ttl := n.get("ttl"); k.sound(ttl) {
		k.at(ttl, problemf("route %s sets the lifetime of its answers", clip(p.Batch)).or("use its cache.ttl.default"))
	}
	if up := n.get("upstream"); k.sound(up) && p.Upstream != named.Batch.Upstream {
		k.at(up, problemf("the batch %s has its own upstream %s", clip(p.Batch), clip(named.Batch.Upstream)).or("leave `upstream` out"))
	}
	if parts, _ := parsePattern(named.Match.Path); len(captureNames(named.Match.Path)) != 1 || len(parts) > 0 && parts[len(parts)-1].param == "*" {
		k.at(at, problemf("the path of route %s captures more than an id", clip(p.Batch)))
	}
	if path := n.get("path"); k.sound(path) && (strings.Count(p.Path, "{}") != 1 || len(templateVariable.FindAllString(p.Path, -1)) != 1) {
		k.at(path, problemf("the path of a part with a batch must contain only the value of foreach").or("such as /items/{}"))
	}
}

// wroteBatch reports whether a route with that name has a batch that could not be read.
func (k checker) wroteBatch(name string) bool {
	routes := k.root.get("routes")
	if routes == nil {
		return false
	}
	return slices.ContainsFunc(routes.items, func(r *node) bool {
		at := r.get("name")
		return at != nil && at.text == name && r.get("batch") != nil
	})
}
