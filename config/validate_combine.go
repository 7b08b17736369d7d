package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/penstock/penstock/proxy/rawjson"
	"github.com/penstock/penstock/proxy/urltemplate"
)

// combine checks what answers a route in the place of an upstream, and what comes page by page.
func (k checker) combine(r *Route, n *node) {
	if at := n.get("aggregate"); r.Aggregate != nil && at != nil && at.kind == kindMap { // a bad part does not hide the others' mistakes
		k.aggregate(r, n)
	}
	if r.Batch != nil && k.sound(n.get("batch")) {
		k.batch(r, n)
	}
	if r.Paginate != nil && k.sound(n.get("paginate")) {
		k.paginate(r, n)
	}
}

// origins are the keys that say who answers; a route has one.
var origins = []string{"upstream", "aggregate", "batch"}

// alone wants nothing beside an aggregate or a batch that only an upstream's answers could have.
func (k checker) alone(r *Route, n *node, kind string) {
	for _, key := range origins {
		if at := n.get(key); at != nil && key != kind && k.own(n, key) && slices.Index(origins, key) < slices.Index(origins, kind) {
			k.at(at, problemf("the route has `%s` and `%s`", key, kind).or("one of them answers"))
		}
	}
	for _, key := range []string{"rewrite", "paginate", "cache_control", "upgrade"} {
		if at := n.get(key); at != nil && k.own(n, key) && (key != "upgrade" || r.Upgrade != UpgradeOff) {
			k.at(at, problemf("`%s` is for the answers of an upstream, and this route has `%s`", key, kind))
		}
	}
	if at := n.get("cache").get("ignore_origin"); at != nil && r.Cache.IgnoreOrigin {
		k.at(at, problemf("what `%s` answers may hold private parts, and only their own word tells", kind).or("bound their lifetime by cache.ttl.max"))
	}
	for i, e := range r.Errors {
		if e.Serve != "" {
			k.at(item(n.get("errors"), i), problemf("`serve` is fetched from the route's upstream, and this route has `%s`", kind).or("give a `body`"))
		}
	}
	match := n.get("match")
	if k.sound(match) && (len(r.Match.Methods) == 0 || slices.ContainsFunc(r.Match.Methods, func(m string) bool { return m != "GET" && m != "HEAD" })) {
		k.at(written(match, "methods"), problemf("`%s` only reads", kind).or("write methods: [GET, HEAD]"))
	}
	if k.sound(match) && strings.HasSuffix(r.Match.Path, "*") {
		k.at(match.get("path"), problemf("`%s` takes single parameters, and * is any number of segments", kind).or("such as /api/users/{id}"))
	}
}

// captures are the parameters of a pattern.
func patternNames(pattern string) []string {
	parts, _ := parsePattern(pattern)
	var names []string
	for _, s := range parts {
		if s.param != "" && s.param != "*" {
			names = append(names, s.param)
		}
	}
	return names
}

// hasUpstream wants an upstream that exists.
func (k checker) hasUpstream(name string, at *node) {
	if at == nil || k.bad[at] || k.config.Upstreams[name] != nil || k.root.get("upstreams").get(name) != nil {
		return
	}
	p := problemf("there is no upstream %s", at.quoted())
	if names := slices.Sorted(maps.Keys(k.config.Upstreams)); len(names) > 0 {
		p.or("%s", suggestion(name, names))
	}
	k.at(at, p)
}

// parts are an aggregate's, by name, with their nodes.
type parts struct {
	checker
	route *Route
	node  *node
	names []string
	needs map[string][]string
	bad   bool // a name stands for nothing: who waits for whom is not known
}

func (k checker) aggregate(r *Route, n *node) {
	k.alone(r, n, "aggregate")
	at := n.get("aggregate").get("parts")
	if at == nil || at.kind != kindMap {
		return
	}
	if len(at.fields) == 0 {
		k.at(at, problemf("there is no part").or("such as user: {upstream: users, path: \"/users/{id}\"}"))
		return
	}
	all := &parts{checker: k, route: r, node: at, needs: make(map[string][]string)}
	for _, f := range at.fields {
		all.names = append(all.names, f.key.text)
	}
	for _, f := range at.fields {
		p := r.Aggregate.Parts[f.key.text]
		if p == nil || !k.sound(f.value) {
			all.bad = true
			continue
		}
		all.part(f.key.text, p, f.value)
	}
	if !all.bad {
		all.cycles()
	}
	if r.Aggregate.Merge == MergeDeep {
		all.deep()
	}
}

func (a *parts) part(name string, p *Part, n *node) {
	a.target(name, p, n)
	a.foreach(name, p, n)
	a.onError(p, n)
	if limit := a.route.Aggregate.Timeout; p.Timeout > limit && a.whole(a.node.parent.get("timeout")) {
		a.at(n.get("timeout"), problemf("the whole takes %s at most", printDuration(limit)).or("raise aggregate.timeout, or leave this out"))
	}
	for i, tag := range p.Tags {
		if bad := checkTemplate(tag, a.route.Match.Path); bad != nil && a.sound(a.routeMatch()) {
			a.at(item(n.get("tags"), i), bad)
		}
	}
}

func (a *parts) routeMatch() *node { return a.node.parent.parent.get("match") }

// target wants an upstream, and a name for each value.
func (a *parts) target(name string, p *Part, n *node) {
	if p.Batch == "" && n.get("upstream") == nil {
		a.at(n, problemf("`upstream` is missing"))
	}
	a.hasUpstream(p.Upstream, n.get("upstream"))
	t, err := urltemplate.Parse(p.Path)
	if err != nil || !a.sound(a.routeMatch()) {
		return
	}
	at, element := n.get("path"), false
	for _, placed := range t.Names() {
		element = element || placed == ""
		a.value(name, placed, p, at)
	}
	if p.Foreach != "" && !element {
		a.at(at, problemf("the value of foreach has no place in the path").or("write {} where it goes"))
	}
}

// value wants a name to stand for something, and for one value.
func (a *parts) value(name, placed string, p *Part, at *node) {
	path, err := rawjson.ParsePath(placed)
	first, rest := path.First()
	switch {
	case placed == "" && p.Foreach == "":
		a.unknown(at, problemf("{} is the value of foreach, which this part has not"))
	case placed == "" || slices.Contains(patternNames(a.route.Match.Path), placed):
	case err != nil || first == "":
		a.unknown(at, problemf("{%s} leads nowhere", clip(placed)))
	case first == name:
		a.unknown(at, problemf("{%s} is a field of the part itself", clip(placed)))
	case !slices.Contains(a.names, first):
		p := problemf("{%s} stands for nothing: match.path does not capture it, and no part has the name", clip(placed))
		if near := nearest(first, append(patternNames(a.route.Match.Path), a.names...)); near != "" {
			p.or("did you mean {%s}?", near)
		}
		a.unknown(at, p)
	case rest.Many():
		a.at(at, problemf("{%s} is any number of values, and a URL takes one", clip(placed)).or("see foreach"))
	default:
		a.reachable(first, rest, placed, at)
		a.needs[name] = append(a.needs[name], first)
	}
}

// unknown notes a name that stands for nothing.
func (a *parts) unknown(at *node, p *problem) {
	a.bad = true
	a.at(at, p)
}

// reachable refuses what the other part never has: fields of a list.
func (a *parts) reachable(first string, rest rawjson.Path, shown string, at *node) {
	other := a.route.Aggregate.Parts[first]
	if other == nil {
		return
	}
	selected, _ := rawjson.ParsePath(other.Select)
	if (other.Foreach != "" || selected.Many()) && !rest.Whole() && !rest.BeginsWithAll() && !rest.BeginsWithIndex() {
		a.at(at, problemf("%s leads nowhere: part %s is a list", clip(shown), first).or("a list's elements are reached by # or a position"))
	}
}

// foreach wants a list of another part, and a batch that can take its values.
func (a *parts) foreach(name string, p *Part, n *node) {
	if p.Foreach == "" {
		for _, key := range []string{"batch", "limit"} {
			if at := n.get(key); at != nil {
				a.at(at, problemf("%s goes with foreach", key))
			}
		}
		return
	}
	at := n.get("foreach")
	path, _ := rawjson.ParsePath(p.Foreach)
	first, rest := path.First()
	switch {
	case first == name:
		a.unknown(at, problemf("the list is the part's own"))
	case !slices.Contains(a.names, first):
		bad := problemf("there is no part %q", clip(first))
		if near := nearest(first, a.names); near != "" {
			bad.or("did you mean `%s`?", near)
		}
		a.unknown(at, bad)
	default:
		a.reachable(first, rest, p.Foreach, at)
		a.needs[name] = append(a.needs[name], first)
	}
	if at := n.get("batch"); at != nil && p.Batch != "" {
		a.throughBatch(p, n, at)
	}
}

// throughBatch wants a route with a batch, whose only parameter is the identifier.
func (a *parts) throughBatch(p *Part, n, at *node) {
	var names []string
	for _, r := range a.config.Routes {
		if r.Batch != nil {
			names = append(names, r.Name)
		}
		if r.Name != p.Batch || r.Batch == nil {
			continue
		}
		if len(patternNames(r.Match.Path)) != 1 {
			a.at(at, problemf("route %s has more than one parameter, and foreach gives one value", r.Name))
		}
		if up := n.get("upstream"); up != nil && p.Upstream != r.Batch.Upstream {
			a.at(up, problemf("the calls go to the batch's upstream, which is %s", r.Batch.Upstream).or("leave it out"))
		}
		return
	}
	bad := problemf("there is no route %s with a batch", at.quoted())
	if len(names) > 0 {
		bad.or("%s", suggestion(p.Batch, names))
	}
	a.at(at, bad)
}

// onError wants a default exactly where it is used.
func (a *parts) onError(p *Part, n *node) {
	switch given := n.get("default") != nil; {
	case p.OnError == OnErrorDefault && !given:
		a.at(n.get("on_error"), problemf("there is no `default`").or("such as default: []"))
	case given && p.OnError != OnErrorDefault && a.whole(n.get("on_error")):
		a.at(n.get("default"), problemf("the default is never used").or("it goes with on_error: default"))
	}
}

// cycles notes a part that waits for itself by way of others.
func (a *parts) cycles() {
	state := make(map[string]int) // 1: on the way, 2: done
	var way []string
	var visit func(string) bool
	visit = func(name string) bool {
		if state[name] == 1 {
			way = append(way, name)
			return true
		}
		if state[name] == 2 {
			return false
		}
		state[name] = 1
		way = append(way, name)
		for _, next := range a.needs[name] {
			if visit(next) {
				return true
			}
		}
		way = way[:len(way)-1]
		state[name] = 2
		return false
	}
	for _, name := range a.names {
		if way = way[:0]; visit(name) {
			ring := way[slices.Index(way, way[len(way)-1]):]
			n := a.node.get(ring[0])
			a.at(written(n, "path"), problemf("the parts wait for each other: %s", strings.Join(ring, " → ")))
			return
		}
	}
}

// deep wants objects, as far as can be known before they are there.
func (a *parts) deep() {
	type owner struct{ part string }
	fields := make(map[string]owner)
	calls := make(map[[3]string]string)
	for _, f := range a.node.fields {
		p := a.route.Aggregate.Parts[f.key.text]
		if p == nil || !a.sound(f.value) {
			continue
		}
		selected, _ := rawjson.ParsePath(p.Select)
		switch {
		case p.Foreach != "":
			a.at(f.value.get("foreach"), problemf("merge: deep puts objects together, and foreach makes a list").or("use merge: namespace"))
		case selected.Many():
			a.at(f.value.get("select"), problemf("merge: deep puts objects together, and # makes a list").or("use merge: namespace"))
		case p.OnError == OnErrorNull:
			a.at(f.value.get("on_error"), problemf("merge: deep has no place for null").or("omit leaves the part out"))
		case p.OnError == OnErrorDefault && p.Default != "" && !rawjson.IsObject([]byte(p.Default)):
			a.at(f.value.get("default"), problemf("merge: deep puts objects together, and this is none"))
		}
		call := [3]string{p.Upstream, p.Path, p.Select}
		if other, twice := calls[call]; twice && p.Foreach == "" {
			a.at(f.value, problemf("part %s makes the same call: all their fields would meet", other))
		}
		calls[call] = f.key.text
		for name, value := range rawjson.Members([]byte(p.Default)) {
			field := rawjson.Text(name)
			if other, twice := fields[field]; twice && !rawjson.IsObject(value) {
				a.at(f.value.get("default"), problemf("the default of part %s has the field %s as well", other.part, clip(field)))
			}
			fields[field] = owner{f.key.text}
		}
	}
}

// batch wants one parameter that is the identifier, and a place for it.
func (k checker) batch(r *Route, n *node) {
	k.alone(r, n, "batch")
	at := n.get("batch")
	k.hasUpstream(r.Batch.Upstream, at.get("upstream"))
	t, err := urltemplate.Parse(r.Batch.Path)
	if err != nil || !k.sound(at.get("path")) || !k.sound(n.get("match")) {
		return
	}
	names, placed := patternNames(r.Match.Path), t.Names()
	for _, name := range placed {
		if name != batchIDs && !slices.Contains(names, name) {
			k.at(at.get("path"), problemf("{%s} stands for nothing", clip(name)).or("{ids} are the identifiers; match.path captures {%s}", strings.Join(names, "}, {")))
		}
	}
	if !slices.Contains(placed, batchIDs) {
		k.at(at.get("path"), problemf("the identifiers have no place in the path").or("write {ids} where they go"))
	}
	if rest := r.Batch.IDParams(r.Match.Path); len(rest) != 1 {
		k.at(n.get("match").get("path"), problemf("one parameter is the identifier: that which batch.path does not have, and here are %d", len(rest)))
	}
	if r.Batch.Missing < 400 {
		k.at(at.get("missing"), problemf("what is missing is an error of 400 to 499"))
	}
}

// batchIDs is what stands in a batch's path for the identifiers.
const batchIDs = "ids"

// IDParams are the parameters of the pattern that the batch's path does not have: of a valid one there is one, the identifier.
func (b *Batch) IDParams(pattern string) []string {
	t, err := urltemplate.Parse(b.Path)
	if err != nil {
		return nil
	}
	placed := t.Names()
	return slices.DeleteFunc(patternNames(pattern), func(name string) bool { return slices.Contains(placed, name) })
}

func (k checker) paginate(r *Route, n *node) {
	p, at := r.Paginate, n.get("paginate")
	if p.Limit.Param != "" && p.Limit.Default > p.Limit.Max {
		k.at(written(at, "limit", "default"), problemf("default %d is above max %d", p.Limit.Default, p.Limit.Max))
	}
	switch {
	case p.Cursor.Param == "" && p.Cursor.Next == "":
		if at.get("cursor") != nil || p.Prefetch > 0 {
			k.at(written(at, "cursor"), problemf("param and next say how the next page is found").or("such as {param: cursor, next: pagination.next_cursor}"))
		}
	case p.Cursor.Param == "" || p.Cursor.Next == "":
		k.at(at.get("cursor"), problemf("param and next go together").or("such as {param: cursor, next: pagination.next_cursor}"))
	}
	next, _ := rawjson.ParsePath(p.Cursor.Next)
	if next.Many() {
		k.at(at.get("cursor").get("next"), problemf("# is any number of values, and the next page has one cursor"))
	}
	if p.Limit.Param == "" && p.Cursor.Param == "" {
		k.at(at, problemf("nothing is said of pages").or("such as {limit: {param: limit}, cursor: {param: cursor, next: next_cursor}}"))
	}
	if p.Prefetch > 0 && !r.Cache.Enabled && k.whole(n.get("cache")) {
		k.at(at.get("prefetch"), problemf("pages are fetched into the cache, and this route has none").or("write cache: {enabled: true}"))
	}
	if p.Prefetch > 0 && !p.LinkHeader {
		k.at(at.get("prefetch"), problemf("the next page is found by Link, which this route does not send").or("write link_header: true"))
	}
	if !allows(r.Match.Methods, "GET") && k.sound(n.get("match")) {
		k.at(at, problemf("pages are read with GET, which match.methods does not allow"))
	}
}
