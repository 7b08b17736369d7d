package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// routes checks each route by itself and against the others.
func (k checker) routes(n *node) {
	if k.sound(n) && len(n.items) == 0 {
		k.at(n, problemf("the list of routes is empty").or("such as [{name: all, match: {path: /*}, upstream: web}]"))
	}
	for i, r := range k.config.Routes {
		at := item(n, i)
		if at.kind != kindMap {
			continue
		}
		k.origin(r, at)
		k.https(r, at)
		k.allow(r, at)
		k.auth(r, at)
		k.rateLimit(r, at)
		k.cors(r, at)
		k.rewrite(r, at)
		k.cache(r, at)
		k.compress(r, at)
		k.errorPages(r, at)
		k.upgrade(r, at)
		k.tiers(r, at)
		k.captures(r, at)
		k.headers(r, at)
		k.writes(r, at)
		k.aggregate(r, at)
		k.batch(r, at)
		k.paginate(r, at)
	}
	k.distinctNames(n)
	k.distinctMatches(n)
}

// origin requires exactly one kind of origin, and an upstream that exists.
func (k checker) origin(r *Route, n *node) {
	at := n.get("upstream")
	switch {
	case at == nil && slices.ContainsFunc(n.fields, func(f field) bool { return f.key.text == "aggregate" || f.key.text == "batch" }):
	case at == nil:
		k.at(n, problemf("the route has no upstream").or("name one with `upstream`"))
	case !k.bad[at]:
		k.upstreamExists(at, r.Upstream)
	}
}

// upstreamExists requires that the named upstream exists.
func (k checker) upstreamExists(at *node, name string) {
	if k.config.Upstreams[name] != nil || k.root.get("upstreams").get(name) != nil {
		return
	}
	p := problemf("there is no upstream %s", at.quoted())
	if names := slices.Sorted(maps.Keys(k.config.Upstreams)); len(names) > 0 {
		p.or("%s", suggestion(name, names))
	}
	k.at(at, p)
}

// https requires a way for https requests to arrive if plain ones are refused.
func (k checker) https(r *Route, n *node) {
	at := n.get("require_https")
	s := k.config.Server
	secure := slices.ContainsFunc(s.Listen, func(l Listener) bool { return l.TLS != nil })
	if !k.sound(at) || r.RequireHTTPS == RequireHTTPSOff || secure || len(s.TrustedProxies) > 0 || !k.whole(k.root.get("server")) {
		return
	}
	k.at(at, problemf("every request would be refused: no listener has TLS").or("add server.listen[].tls, or name the proxy in front in server.trusted_proxies"))
}

// rewrite requires either prefixes or a whole path, and uses only captured values.
func (k checker) rewrite(r *Route, n *node) {
	at := n.get("rewrite")
	if !k.sound(at) || !k.sound(n.get("match")) {
		return
	}
	w := r.Rewrite
	if w.Path != "" && (w.StripPrefix != "" || w.AddPrefix != "") {
		k.at(written(at, "path"), problemf("path replaces the whole path, so prefixes have no effect").or("leave one of them out"))
		return
	}
	if p := checkTemplate(w.Path, r.Match.Path); p != nil {
		k.at(at.get("path"), p)
	}
	if w.StripPrefix != "" && !beginsWith(r.Match.Path, w.StripPrefix) {
		k.at(at.get("strip_prefix"), problemf("match.path %s does not begin with %s", clip(r.Match.Path), clip(w.StripPrefix)))
	}
}

// beginsWith reports whether every path that the pattern matches has the prefix as whole segments.
func beginsWith(pattern, prefix string) bool {
	parts, _ := parsePattern(pattern)
	if len(parts) == 0 {
		return false
	}
	rest, ok := strings.CutPrefix(parts[0].text, prefix)
	return ok && (strings.HasPrefix(rest, "/") || rest == "" && len(parts) == 1)
}

// cache requires consistent settings, and an explicit `enabled`.
func (k checker) cache(r *Route, n *node) {
	at := n.get("cache")
	if own := k.own(n, "cache"); own && k.sound(at) && at.get("enabled") == nil {
		k.at(at, problemf("`enabled` is missing").or("write enabled: true"))
	}
	ttl := r.Cache.TTL
	if k.whole(at.get("ttl")) && ttl.Max > 0 && ttl.Min > ttl.Max {
		k.at(written(at, "ttl", "min"), problemf("min %s is above max %s", printDuration(ttl.Min), printDuration(ttl.Max)))
	}
	if r.Cache.Cookies == CookiesIgnore {
		if ignored := at.get("ignore_cookies"); k.own(at, "ignore_cookies") && k.sound(ignored) && len(r.Cache.IgnoreCookies) > 0 {
			k.at(ignored, problemf("with cookies: ignore no cookie counts, so this has no effect").or("leave one of the two out"))
		}
		r.Cache.IgnoreCookies = nil // in `defaults` it is for the routes on which cookies count
	}
	if tiers := at.get("tiers"); k.sound(tiers) && len(tiers.items) == 0 {
		k.at(tiers, problemf("the list of tiers is empty").or("enabled: false turns the cache off"))
	}
	if query := at.get("key").get("query"); k.sound(query) && len(r.Cache.Key.Query.Include) == 0 && len(r.Cache.Key.Query.Exclude) > 0 {
		k.at(written(query, "exclude"), problemf("include is empty, so no parameter is left to exclude").or("leave one of them out"))
	}
	k.keyFields(r, at.get("key"))
	k.coalesce(r, n)
}

// keyFields refuses fields that are removed before the key is made, and fields that are in every
// key.
func (k checker) keyFields(r *Route, n *node) {
	list := n.get("headers")
	for i, name := range r.Cache.Key.Headers {
		switch at := item(list, i); {
		case at == nil || !k.sound(at):
		case name == "Host":
			k.at(at, problemf("the host is in every key").or("leave it out"))
		case slices.Contains(connectionFields, name):
			k.at(at, problemf("%s ends at the gateway's listener, so no key can contain it", name).or("leave it out"))
		}
	}
}

// coalesce requires a cache, because requests share the fills of the cache.
func (k checker) coalesce(r *Route, n *node) {
	if r.Cache.Enabled || !k.whole(n.get("cache")) {
		return
	}
	at := n.get("coalesce")
	if k.own(n, "coalesce") && k.sound(at) && (r.Coalesce.Enabled || at.get("enabled") == nil) {
		k.at(written(at, "enabled"), problemf("requests are coalesced by the cache, and this route has none").or("write cache: {enabled: true}"))
	}
	r.Coalesce.Enabled = false // in `defaults` it is for the routes with a cache
}

// own reports whether the route itself has the key, and not only `defaults`.
func (k checker) own(n *node, key string) bool {
	at := n.get(key)
	return at != nil && strings.HasPrefix(at.path(), "routes[")
}

func (k checker) compress(r *Route, n *node) {
	at := n.get("compress")
	for _, key := range []string{"encodings", "types"} {
		if list := at.get(key); k.sound(list) && r.Compress.Enabled && len(list.items) == 0 {
			k.at(list, problemf("the list is empty, so nothing is compressed").or("enabled: false turns compression off"))
		}
	}
}

// errorPages requires content for each page, and each status only once.
func (k checker) errorPages(r *Route, n *node) {
	seen := map[int]bool{}
	for i, e := range r.Errors {
		at := item(n.get("errors"), i)
		if !k.sound(at) {
			continue
		}
		switch {
		case e.Serve == "" && e.Body == "":
			k.at(at, problemf("the page has no content").or("`serve` a path of the upstream, or give a `body`"))
		case e.Serve != "" && e.Body != "":
			k.at(at.get("body"), problemf("the page has both `serve` and `body`").or("leave one of them out"))
		case e.Serve != "" && e.ContentType != "":
			k.at(at.get("content_type"), problemf("a served page has its own Content-Type").or("content_type goes with `body`"))
		}
		if len(e.Status) == 0 {
			k.at(at.get("status"), problemf("the list of statuses is empty").or("such as [502, 503, 504]"))
		}
		for j, status := range e.Status {
			if seen[status] {
				k.at(at.get("status").items[j], problemf("an earlier page already has status %d", status))
			}
			seen[status] = true
		}
		if e.CacheFor > 0 && !r.Cache.Enabled && k.own(n, "errors") && k.whole(n.get("cache")) {
			k.at(at.get("cache_for"), problemf("this route has no cache").or("write cache: {enabled: true}"))
		}
	}
}

// upgrade requires the method of the handshake (RFC 6455 section 4.1), and an upstream that
// supports it.
func (k checker) upgrade(r *Route, n *node) {
	at := n.get("upgrade")
	if !k.sound(at) || r.Upgrade != UpgradeWebSocket {
		return
	}
	if !allows(r.Match.Methods, "GET") && k.sound(n.get("match")) {
		k.at(at, problemf("a WebSocket begins with GET, which match.methods does not allow"))
	}
	if u := k.config.Upstreams[r.Upstream]; u != nil && (u.Protocol == ProtocolH2 || u.Protocol == ProtocolH2C) {
		k.at(at, problemf("a WebSocket is an upgrade of HTTP/1.1, and upstream %s speaks only %s", r.Upstream, u.Protocol).or("give the upstream protocol h1 or auto, or this route upgrade: off"))
	}
}

// distinctNames requires unique names, because keys and metrics contain them.
func (k checker) distinctNames(n *node) {
	lines := map[string]int{}
	for i, r := range k.config.Routes {
		at := item(n, i).get("name")
		if !k.sound(at) {
			continue
		}
		if line, ok := lines[r.Name]; ok {
			k.at(at, problemf("another route has the name %s", at.quoted()).or("the first is in line %d", line))
			continue
		}
		lines[r.Name] = at.line
	}
}

// distinctMatches requires that each request matches one route only.
func (k checker) distinctMatches(n *node) {
	type place struct{ host, shape string }
	earlier := map[place][]int{}
	for i, r := range k.config.Routes {
		at := item(n, i).get("match")
		if !k.sound(at) {
			continue
		}
		here := place{r.Match.Host, shapeOf(r.Match.Path)}
		for _, j := range earlier[here] {
			if other := k.config.Routes[j]; overlap(r.Match.Methods, other.Match.Methods) {
				name := cmp.Or(other.Name, "routes"+indexLabel(j))
				k.at(at, problemf("route %s matches the same requests", clip(name)).or("it has the same host, path and methods"))
				break
			}
		}
		earlier[here] = append(earlier[here], i)
	}
}

// allows reports whether methods contain method. An empty list contains all.
func allows(methods []string, method string) bool {
	return len(methods) == 0 || slices.Contains(methods, method)
}

// overlap reports whether two lists share a method. An empty list contains all.
func overlap(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(m string) bool { return slices.Contains(b, m) })
}

// tiers requires that each tier of a route is configured, and a shared tier for sharing calls.
func (k checker) tiers(r *Route, n *node) {
	redis := k.root.get("cache").get("redis") != nil
	at := n.get("cache").get("tiers")
	if k.sound(at) {
		for i, tier := range r.Cache.Tiers {
			if tier == TierRedis && !redis {
				k.at(item(at, i), problemf("no Redis is configured").or("add cache.redis.url"))
			}
		}
	}
	if at := n.get("coalesce").get("across_instances"); k.sound(at) && r.Coalesce.AcrossInstances && !slices.Contains(r.Cache.Tiers, TierRedis) {
		k.at(at, problemf("instances share calls through Redis, which is not one of the route's tiers").or("add cache.redis.url, and redis to cache.tiers"))
	}
}

// captures requires that tags and write targets use only captured values.
func (k checker) captures(r *Route, n *node) {
	if !k.sound(n.get("match")) {
		return
	}
	each := func(at *node, values []string) {
		for i, v := range values {
			if p := checkTemplate(v, r.Match.Path); p != nil && k.sound(at) {
				k.at(item(at, i), p)
			}
		}
	}
	each(n.get("cache").get("tags").get("from"), r.Cache.Tags.From)
	each(n.get("writes").get("targets"), r.Writes.Targets)
}
