package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/upstream"
)

// memoShare determines the size of the memo, which remembers where to find responses. The memo may
// take the memory for responses divided by memoShare, in addition to that memory.
const memoShare = 128

// compile returns the Snapshot of cfg. next has the resources that were prepared for it.
func compile(cfg *config.Config, next *generation, g *Gateway) (*Snapshot, error) {
	s := &Snapshot{
		cache: g.live.cache, live: g.live, pools: next.pools, hosts: route.NewHosts(), memo: g.live.cache.NewHitIndex(cfg.Cache.Memory.Size / memoShare),
		tracer: g.options.Tracer, prometheus: cfg.Telemetry.Metrics.Prometheus,
	}
	if q := cmp.Or(next.queue, g.live.queue); q != nil {
		s.writes = q.Store
	}
	s.named = namedOverrides(cfg)
	var err error
	if s.routes, err = compileRoutes(cfg, next, s, g); err != nil {
		return nil, err
	}
	if s.router, err = routerOf(s.routes); err != nil {
		return nil, err
	}
	s.guard = edge.GuardConfig{
		TrustedProxies: cfg.Server.TrustedProxies, URLBytes: int(cfg.Server.Limits.URLBytes),
		QueryParams: cfg.Server.Limits.QueryParams, HeaderBytes: int(cfg.Server.Limits.HeaderBytes),
		Named: s.named,
	}
	s.handler = edge.NewGuard(s.guard)(http.HandlerFunc(s.dispatch))
	return s, nil
}

// compileRoutes compiles the routes with parts last, because a part may be read through another
// route, wherever that route stands.
func compileRoutes(cfg *config.Config, next *generation, s *Snapshot, g *Gateway) ([]*compiledRoute, error) {
	routes := make([]*compiledRoute, len(cfg.Routes))
	for _, parts := range []bool{false, true} {
		for i, r := range cfg.Routes {
			if (r.Aggregate != nil) != parts {
				continue
			}
			compiled, err := compileRoute(cfg, r, next, s, g)
			if err != nil {
				return nil, fmt.Errorf("route %s: %w", r.Name, err)
			}
			compiled.Index = i
			routes[i] = compiled
		}
	}
	return routes, nil
}

// routerOf returns the router of compiled routes.
func routerOf(compiled []*compiledRoute) (*route.Router, error) {
	routes := make([]*route.Route, len(compiled))
	for i, rt := range compiled {
		routes[i] = rt.Route
	}
	return route.New(routes)
}

func compileRoute(cfg *config.Config, r *config.Route, next *generation, s *Snapshot, g *Gateway) (*compiledRoute, error) {
	res, err := compileResource(cfg, r, next, s)
	if err != nil {
		return nil, err
	}
	rewrite, err := compileRewrite(r)
	if err != nil {
		return nil, err
	}
	res.Invalidate, res.Through = compileInvalidate(cfg, r, rewrite, s), compileThrough(r, s)
	pages, err := compilePages(cfg, r)
	if err != nil {
		return nil, err
	}
	if pages != nil {
		tagPages(&res.Tags, r.Name)
	}
	captures := r.Rewrite.Path != "" || res.Tags.Expand != nil || len(r.Writes.Targets) > 0 || r.Writes.OrderBy != "" || r.Aggregate != nil || r.Batch != nil || pages != nil || namesCaptures(r)
	rt := &compiledRoute{
		Route: &route.Route{Name: r.Name, Host: r.Match.Host, Path: r.Match.Path, Methods: r.Match.Methods, Captures: captures, Merges: r.MergeSlashes},
		pages: pages, rules: res.Rules, resource: res, keyed: keyFollowsFromURL(r, res),
	}
	rt.KeyQuery = rt.keyQuery
	stages, err := compileStages(cfg, r, rt, next, s)
	if err != nil {
		return nil, err
	}
	rt.arrange(stages, s)
	return rt, nil
}

// compileResource returns the cache's settings for a route.
func compileResource(cfg *config.Config, r *config.Route, next *generation, s *Snapshot) (*cache.Resource, error) {
	origin, err := compileOrigin(cfg, r, next, s)
	if err != nil {
		return nil, err
	}
	rules := compileRules(r)
	origin, respond, err := compileHeaders(r, rules, origin)
	if err != nil {
		return nil, err
	}
	target, err := compileRewrite(r)
	if err != nil {
		return nil, err
	}
	res := &cache.Resource{
		Route: fill.Route{
			Policy: entry.Policy{
				Rules: rules, Tiers: compileTiers(r), Tags: compileTags(r, s.live.log), MaxVariants: r.Cache.Vary.MaxVariants, MaxObject: cfg.Cache.Memory.MaxObject,
			},
			Origin: origin, Respond: respond, Unattended: next.unattended(r.Upstream),
			Coalesce: fill.Coalesce{
				Enabled: r.Coalesce.Enabled, MaxWaiters: r.Coalesce.MaxWaiters, Wait: r.Coalesce.Wait, AcrossInstances: r.Coalesce.AcrossInstances,
			},
		},
		Target: ownFields(r, s.named, target),
	}

	if res.Errors, err = compileErrors(r, res, s.cache); err != nil {
		return nil, err
	}
	if b := next.batches[r.Name]; b != nil {
		b.resource = res
	}
	if r.Upgrade != config.UpgradeOff {
		res.Upgrade = string(r.Upgrade)
	}
	if r.Compress.Enabled {
		res.Compress, res.AcceptEncoding = compileCompress(r)
	}
	return res, nil
}

// compileOrigin returns the source of a route's responses.
func compileOrigin(cfg *config.Config, r *config.Route, next *generation, s *Snapshot) (http.RoundTripper, error) {
	if r.Aggregate != nil {
		return compileAggregate(cfg, r, next, s)
	}
	if r.Batch != nil {
		return compileBatch(r, next, s)
	}
	pages, err := compilePages(cfg, r)
	if err != nil {
		return nil, err
	}
	pool, err := compileLocated(cfg, r, bound(r, next.pools[r.Upstream]))
	if err != nil {
		return nil, err
	}
	return linkedPages(cfg, r, pages, pool, s.live.log), nil
}

// bound returns an upstream's pool with the timeouts of a route.
func bound(r *config.Route, pool http.RoundTripper) http.RoundTripper {
	t := r.Timeouts
	return upstream.Bound(pool, upstream.Bounds{FirstByte: t.FirstByte, Idle: t.Idle, Total: t.Total})
}

func compileTiers(r *config.Route) entry.Tiers {
	return entry.Tiers{Memory: slices.Contains(r.Cache.Tiers, config.TierMemory), Shared: slices.Contains(r.Cache.Tiers, config.TierRedis)}
}

// headerOrigin applies a route's request header rules on the way to the upstream. The key has been
// made by then, so the rules can't split the cache.
type headerOrigin struct {
	route string
	rules *edge.HeaderRules
	next  http.RoundTripper
}

// RoundTrip changes req's header, which belongs to the exchange alone. If a rule repeats the query,
// it repeats the upstream's query: a value that is not in a response's key must not reach the
// origin by another way.
func (o *headerOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	ev := observe.FromContext(req.Context())
	o.rules.Apply(req.Header, &edge.Facts{
		Host: req.Host, Scheme: ev.Scheme, Path: ev.Path, Query: req.URL.RawQuery, Method: req.Method, Route: o.route,
		ClientIP: ev.ClientIP, Captured: ev.Captured, RequestID: ev.RequestID,
	})
	return o.next.RoundTrip(req)
}

// respondWith applies a route's response header rules. On a route with a cache the rules get the
// query of the key, because other clients share the fields that they write.
func respondWith(rules *edge.HeaderRules, r *config.Route, keyed *cachepolicy.Rules) fill.Respond {
	return func(q *cachepolicy.Request, ev *observe.Event, h http.Header) {
		query := q.RawQuery
		if r.Cache.Enabled {
			query = keyed.KeyQuery(query)
		}
		rules.Apply(h, &edge.Facts{
			Host: q.Host, Scheme: q.Scheme, Path: q.Path, Query: query, Method: q.Method, Route: r.Name,
			ClientIP: ev.ClientIP, Captured: ev.Captured, RequestID: ev.RequestID,
		})
	}
}

func compileHeaders(r *config.Route, rules *cachepolicy.Rules, pool http.RoundTripper) (http.RoundTripper, fill.Respond, error) {
	request, err := compileOps(r.Headers.Request)
	if err != nil {
		return nil, nil, fmt.Errorf("headers.request: %w", err)
	}
	response, err := compileOps(r.Headers.Response)
	if err != nil {
		return nil, nil, fmt.Errorf("headers.response: %w", err)
	}
	if request != nil {
		pool = &headerOrigin{r.Name, request, pool}
	}
	if response == nil {
		return pool, nil, nil
	}
	return pool, respondWith(response, r, rules), nil
}

func compileOps(ops config.FieldOps) (*edge.HeaderRules, error) {
	if len(ops.Set) == 0 && len(ops.Add) == 0 && len(ops.Remove) == 0 {
		return nil, nil
	}
	return edge.CompileHeaderRules(pieces(ops.Set), pieces(ops.Add), ops.Remove)
}

// pieces returns the values of header rules, cut at the places to fill in.
func pieces(values map[string]string) map[string][]edge.Piece {
	out := make(map[string][]edge.Piece, len(values))
	for name, value := range values {
		out[name] = []edge.Piece{}
		for _, p := range config.HeaderParts(value) {
			out[name] = append(out[name], edge.Piece(p))
		}
	}
	return out
}

// namesCaptures reports whether a header rule of the route repeats a captured parameter of its
// path.
func namesCaptures(r *config.Route) bool {
	names := route.ParamNames(r.Match.Path)
	for _, values := range []map[string]string{r.Headers.Request.Set, r.Headers.Request.Add, r.Headers.Response.Set, r.Headers.Response.Add} {
		for _, value := range values {
			if slices.ContainsFunc(config.HeaderParts(value), func(p config.HeaderPart) bool { return slices.Contains(names, p.Name) }) {
				return true
			}
		}
	}
	return false
}

// compileRewrite returns nil if the path goes upstream unchanged.
func compileRewrite(r *config.Route) (cache.Target, error) {
	if r.Rewrite.StripPrefix == "" && r.Rewrite.AddPrefix == "" && r.Rewrite.Path == "" {
		return nil, nil
	}
	rw, err := upstream.CompileRewrite(r.Rewrite.StripPrefix, r.Rewrite.AddPrefix, r.Rewrite.Path, route.ParamNames(r.Match.Path))
	if err != nil {
		return nil, err
	}
	return rewriteTarget(rw), nil
}

func compileRules(r *config.Route) *cachepolicy.Rules {
	c := &r.Cache
	rules := &cachepolicy.Rules{
		Route: r.Name, Enabled: c.Enabled, Sharing: sharingRules(r),
		TTLDefault: c.TTL.Default, TTLMin: c.TTL.Min, TTLMax: c.TTL.Max, TTLStatus: c.TTL.Status, TTLJitter: c.TTL.Jitter,
		QueryInclude: includedParams(c.Key.Query), QueryExclude: c.Key.Query.Exclude, QuerySort: c.Key.Query.Sort,
		KeyHeaders: c.Key.Headers, KeyCookies: c.Key.Cookies,
		StaleRevalid: c.StaleWhileRevalidate, StaleError: c.StaleIfError, EarlyBeta: c.EarlyRefresh,
		IgnoreClient: c.ClientDirectives == config.ClientDirectivesIgnore, IgnoreOrigin: c.IgnoreOrigin,
		Transcodes: r.Compress.Enabled,
	}
	switch c.Authorization {
	case config.AuthorizationNever:
		rules.Authorization = cachepolicy.AuthorizationNever
	case config.AuthorizationKey:
		rules.Authorization = cachepolicy.AuthorizationKey
	}
	switch c.SetCookie {
	case config.SetCookieStrip:
		rules.SetCookie = cachepolicy.SetCookieStrip
	case config.SetCookieStore:
		rules.SetCookie = cachepolicy.SetCookieStore
	}
	rules.Cookies, rules.IgnoreCookies = cookieMode(r), c.IgnoreCookies
	rules.Forwards = func(name string) bool { return forwards(r, name) }
	for _, rule := range r.CacheControl {
		rules.CacheControl = append(rules.CacheControl, cachepolicy.CacheControlRule{
			Extensions: rule.When.Extensions, ContentTypes: rule.When.ContentTypes, Status: rule.When.Status,
			Set: rule.Set, Override: rule.Mode == config.CacheControlOverride,
		})
	}
	return rules
}

// includedParams never returns nil, because nil means all parameters for cachepolicy. A file
// without the list has the default ["*"], so an empty list is the operator's choice: no parameter
// counts.
func includedParams(q config.QueryKey) []string {
	if q.Include == nil {
		return []string{}
	}
	return q.Include
}

// cookieMode returns the responses that a request with a cookie may share. Cookies that the origin
// never sees don't affect its responses.
func cookieMode(r *config.Route) cachepolicy.CookieMode {
	switch {
	case r.Cache.Cookies == config.CookiesBypass:
		return cachepolicy.CookiesBypass
	case r.Cache.Cookies == config.CookiesIgnore, !forwards(r, "Cookie"):
		return cachepolicy.CookiesIgnore
	}
	return cachepolicy.CookiesExplicit
}

// forwards reports whether a field of clients' requests reaches an origin of the route.
func forwards(r *config.Route, name string) bool {
	named := func(n string) bool { return strings.EqualFold(n, name) }
	if r.Aggregate != nil {
		for _, p := range r.Aggregate.Parts {
			if slices.ContainsFunc(p.Headers, named) {
				return true
			}
		}
		return false
	}
	for n := range r.Headers.Request.Set {
		if named(n) {
			return false // all requests have the same value
		}
	}
	return !slices.ContainsFunc(r.Headers.Request.Remove, named)
}

// compileCompress returns the policy and the Accept-Encoding for the origin. That field lists the
// route's codings for every client: an origin that compresses well saves transfer, and all requests
// look alike to it.
func compileCompress(r *config.Route) (*compress.Policy, string) {
	p := &compress.Policy{MinSize: r.Compress.MinSize, Types: r.Compress.Types}
	var names []string
	for _, e := range r.Compress.Encodings {
		p.Encodings = append(p.Encodings, compress.ParseCoding(string(e)))
		names = append(names, string(e))
	}
	p.Level[compress.Gzip], p.Level[compress.Brotli], p.Level[compress.Zstd] = r.Compress.Level.Gzip, r.Compress.Level.Br, r.Compress.Level.Zstd
	return p, strings.Join(names, ", ")
}
