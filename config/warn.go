package config

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Warnings are settings without effect. The configuration is valid all the same.
type Warnings []*Error

// Lines returns each warning as a line.
func (ws Warnings) Lines() []string {
	lines := make([]string, len(ws))
	for i, w := range ws {
		marked := *w
		marked.Message = "warning: " + w.Message
		lines[i] = marked.Error()
	}
	return lines
}

// warn adds a warning at a node.
func (r *report) warn(n *node, p *problem) {
	if len(r.warnings) < maxErrors {
		r.warnings = append(r.warnings, &Error{r.file, max(1, n.line), max(1, n.column), n.path(), p.message, p.hint})
	}
}

// warnings looks for valid settings that have no effect or an unexpected one.
func (k checker) warnings() {
	k.unusedUpstreams(k.root.get("upstreams"))
	k.oddPorts(k.root.get("upstreams"))
	k.trustsAll(k.root.get("server").get("trusted_proxies"))
	k.idleTelemetry(k.root.get("telemetry"))
	k.idleEviction(k.root.get("writes"))
	for i, r := range k.config.Routes {
		at := item(k.root.get("routes"), i)
		if at == nil || at.kind != kindMap {
			continue
		}
		k.literalPath(r, at)
		k.rewrittenFields(r, at)
		k.literalBodies(r, at)
		k.idleWrites(r, at)
		k.idleCache(r, at)
		k.shadowedRules(r, at)
		k.queueBesideShared(r, at)
		k.publicPages(r, at)
		k.chosenRateKey(r, at)
		k.nullOrigin(r, at)
	}
	k.unexpanded(k.root)
}

// unusedUpstreams warns of upstreams that no route calls. The usual cause is a name that was
// changed in one place only.
func (k checker) unusedUpstreams(n *node) {
	used := map[string]bool{}
	for _, r := range k.config.Routes {
		used[r.Upstream] = true
		if r.Batch != nil {
			used[r.Batch.Upstream] = true
		}
		if r.Aggregate != nil {
			for _, p := range r.Aggregate.Parts {
				used[p.Upstream] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.config.Upstreams)) {
		if at := n.get(name); !used[name] && at != nil {
			k.warn(at, problemf("no route uses this upstream").or("leave it out, or name it in a route"))
		}
	}
}

// oddPorts warns of targets with the other scheme's port.
func (k checker) oddPorts(n *node) {
	for _, name := range slices.Sorted(maps.Keys(k.config.Upstreams)) {
		for i, t := range k.config.Upstreams[name].Targets {
			at := item(n.get(name).get("targets"), i)
			if at == nil {
				continue
			}
			switch scheme, port := t.URL.Scheme, t.URL.Port(); {
			case scheme == "http" && port == "443":
				k.warn(at, problemf("port 443 is for https, but this target is called without TLS").or("https://%s", t.URL.Hostname()))
			case scheme == "https" && port == "80":
				k.warn(at, problemf("port 80 is for http, but this target is called with TLS").or("http://%s", t.URL.Hostname()))
			}
		}
	}
}

// trustsAll warns of a network that includes every client.
func (k checker) trustsAll(n *node) {
	for i, p := range k.config.Server.TrustedProxies {
		if at := item(n, i); at != nil && p.Bits() == 0 && p.Addr() == netip.PrefixFrom(p.Addr(), 0).Masked().Addr() {
			k.warn(at, problemf("the gateway trusts every client's X-Forwarded-For, so clients can forge their address").or("name only the proxies in front"))
		}
	}
}

// idleTelemetry warns of settings for a part that is off.
func (k checker) idleTelemetry(n *node) {
	t := k.config.Telemetry
	if at := n.get("traces").get("endpoint"); at != nil && t.Traces.Exporter != TracesOTLP && !t.Metrics.OTLP {
		k.warn(at, problemf("nothing is sent there: traces.exporter is %s, and metrics.otlp is false", t.Traces.Exporter).or("exporter: otlp"))
	}
	for _, key := range []string{"format", "sample"} {
		if at := n.get("access_log").get(key); at != nil && t.AccessLog.Output == AccessOff && n.get("access_log").get("output") == nil {
			k.warn(at, problemf("there is no access log").or("output: stdout"))
		}
	}
}

// foreignPath matches the pattern syntax of other routers.
var foreignPath = regexp.MustCompile(`/:\w+|[()\[\]$]|\\\w`)

// literalPath warns of text that is a pattern in other routers and literal here.
func (k checker) literalPath(r *Route, n *node) {
	at := n.get("match").get("path")
	parts, p := parsePattern(r.Match.Path)
	if at == nil || p != nil {
		return
	}
	for _, s := range parts {
		if found := foreignPath.FindString(s.text); found != "" {
			k.warn(at, problemf("%q matches only itself", strings.TrimPrefix(found, "/")).or("write {name} or {name:expression} for a part of the path, and * for the rest"))
			return
		}
	}
}

// writtenByGateway lists the fields that the gateway adds after the header rules.
var writtenByGateway = map[string][]string{"request": {"Via"}, "response": {"Age", "Cache-Status", "Date"}}

// rewrittenFields warns of removed fields that are sent all the same.
func (k checker) rewrittenFields(r *Route, n *node) {
	for side, ops := range map[string]FieldOps{"request": r.Headers.Request, "response": r.Headers.Response} {
		list := n.get("headers").get(side).get("remove")
		for i, name := range ops.Remove {
			at := item(list, i)
			switch {
			case at == nil:
			case slices.Contains(writtenByGateway[side], name):
				k.warn(at, problemf("the gateway writes %s itself, after this rule, so it is sent all the same", name).or("leave it out"))
			case hasField(ops.Set, name):
				k.warn(at, problemf("%s is set as well, which replaces it anyway", name).or("leave it out here"))
			}
		}
	}
}

func hasField(fields map[string]string, name string) bool { _, ok := fields[name]; return ok }

// foreignPlaceholder matches placeholders of other gateways. The body of an error page is sent
// without replacing them.
var foreignPlaceholder = regexp.MustCompile(`\{(status|code|host|uri|path|query|method|scheme|client_ip|request_id|route|error|message)\}|\$\{?(status|host|uri|request_id|remote_addr)\b|%\{?(STATUS|HOST|REQUEST_ID)\b`)

// literalBodies warns of placeholders in bodies.
func (k checker) literalBodies(r *Route, n *node) {
	for i, e := range r.Errors {
		if at := item(n.get("errors"), i).get("body"); at != nil {
			if found := foreignPlaceholder.FindString(e.Body); found != "" {
				k.warn(at, problemf("a body has no placeholders, so clients get the text %s", found).or("leave it out, or `serve` a page of the upstream"))
			}
		}
	}
}

// idleWrites warns of settings for writes on a route without writes.
func (k checker) idleWrites(r *Route, n *node) {
	at := n.get("writes")
	writes := slices.ContainsFunc([]string{"POST", "PUT", "PATCH", "DELETE"}, func(m string) bool { return allows(r.Match.Methods, m) })
	other := slices.ContainsFunc(r.Match.Methods, func(m string) bool { return m != "GET" && m != "HEAD" && m != "OPTIONS" })
	if at != nil && k.own(n, "writes") && !writes && !other {
		k.warn(at, problemf("match.methods allows no method that writes").or("leave `writes` out, or allow POST, PUT, PATCH or DELETE"))
	}
	if at != nil && k.own(n, "writes") {
		k.idleOrder(r, at)
	}
}

// idleOrder warns of a name that was probably meant as a placeholder, and of listed statuses that
// are retried anyway.
func (k checker) idleOrder(r *Route, n *node) {
	by := r.Writes.OrderBy
	if given := n.get("order_by"); given != nil && by != "" && !strings.ContainsAny(by, "{}") && checkTemplate("{"+by+"}", r.Match.Path) == nil {
		k.warn(given, problemf("this is the text %s for each write, so all writes are one sequence", clip(by)).or("write \"{%s}\" for the value that the path captures", clip(by)))
	}
	if given := n.get("retry_on"); given != nil && slices.ContainsFunc(r.Writes.RetryOn, triedAnyway) {
		k.warn(given, problemf("408, 425, 429 and 5xx are always retried").or("list only other statuses"))
	}
}

// triedAnyway reports whether a write is retried after a status that its route does not list.
func triedAnyway(status int) bool {
	return status >= 500 || status == 408 || status == 425 || status == 429
}

// idleCache warns of a cache that never stores a response.
func (k checker) idleCache(r *Route, n *node) {
	at := n.get("cache")
	if at != nil && k.own(n, "cache") && r.Cache.Enabled && !allows(r.Match.Methods, "GET") && !allows(r.Match.Methods, "HEAD") {
		k.warn(at, problemf("match.methods allows neither GET nor HEAD, so nothing is cached").or("leave `cache` out, or allow GET"))
	}
	include := r.Cache.Key.Query.Include
	if list := at.get("key").get("query").get("exclude"); list != nil && slices.Contains(r.Cache.Key.Query.Exclude, "*") && (len(include) > 0 && !slices.Contains(include, "*") || len(r.Cache.Key.Query.Exclude) > 1) {
		k.warn(list, problemf("* excludes every parameter, so the other names have no effect").or("leave out the other names or the *; use include for the names that count"))
	}
	if list := at.get("key").get("query").get("include"); list != nil && len(include) > 1 && slices.Contains(include, "*") {
		k.warn(list, problemf("* includes all parameters, so the other names have no effect").or("leave out * or the other names"))
	}
}

// shadowedRules warns of Cache-Control rules after a rule that always decides.
func (k checker) shadowedRules(r *Route, n *node) {
	all := -1
	for i, rule := range r.CacheControl {
		at := item(n.get("cache_control"), i)
		if at == nil {
			return
		}
		if all >= 0 && (rule.Mode == CacheControlAbsent || r.CacheControl[all].Mode == CacheControlOverride) {
			k.warn(at, problemf("rule %d has no condition, so this rule is never reached", all).or("put this rule before it"))
		}
		if w := rule.When; all < 0 && len(w.Extensions)+len(w.ContentTypes)+len(w.Status) == 0 {
			all = i
		}
	}
}

// idleEviction warns of accept_eviction if writes are stored in a file.
func (k checker) idleEviction(n *node) {
	if at := n.get("accept_eviction"); at != nil && k.config.Writes.AcceptEviction && k.config.Writes.Path != "" {
		k.warn(at, problemf("writes.path keeps queued writes in a file, which never evicts").or("leave accept_eviction out"))
	}
}

// queueBesideShared warns of a route whose reads come from a tier that all instances share, while
// only one instance knows its queued writes.
func (k checker) queueBesideShared(r *Route, n *node) {
	c := k.config
	if c.Writes.Path != "" && c.Cache.Redis != nil && r.Writes.Policy == WriteBehind &&
		r.Cache.Enabled && slices.Contains(r.Cache.Tiers, TierRedis) && allows(r.Match.Methods, "GET") {
		k.warn(n.get("writes"), problemf("writes.path keeps queued writes in a file of this instance, and cache.redis is shared by all: "+
			"until a write is applied, other instances answer route %s with the old value", clip(r.Name)).or("leave writes.path out: the queue is then in Redis too"))
	}
}

// chosenRateKey warns of a limit by a field whose value each client may choose.
func (k checker) chosenRateKey(r *Route, n *node) {
	l, at := r.RateLimit, n.get("rate_limit").get("by")
	checked := r.Auth != nil && r.Auth.APIKeys != nil && l != nil && r.Auth.APIKeys.Header == l.By.Name
	if l != nil && at != nil && l.By.Source == RateByHeader && !checked && len(r.Allow.IPs)+len(r.Allow.Files) == 0 {
		k.warn(at, problemf("a client that sends another %s with each request is never limited", clip(l.By.Name)).or("by: client_ip, or name with `allow` the proxies that set the field"))
	}
}

// bareVariable matches a reference to the environment in the shell's short form, which is not
// expanded.
var bareVariable = regexp.MustCompile(`^\$[A-Za-z_][A-Za-z0-9_]*$`)

// unexpanded warns of values that look like references but are plain text.
func (k checker) unexpanded(n *node) {
	if n.kind == kindScalar && n.source == n.text && bareVariable.MatchString(n.text) {
		k.warn(n, problemf("%s is not expanded", n.quoted()).or("write ${%s} for an environment variable", n.text[1:]))
	}
	for _, f := range n.fields {
		k.unexpanded(f.value)
	}
	for _, i := range n.items {
		k.unexpanded(i)
	}
}
