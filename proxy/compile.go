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
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/upstream"
)

// memoShare is the part of the memory for responses that knowing where to find them may take beside it.
const memoShare = 128

// compile makes a Snapshot of cfg, with what next has prepared.
func compile(cfg *config.Config, next *generation, g *Gateway) (*Snapshot, error) {
	s := &Snapshot{
		cache: g.live.cache, live: g.live, pools: next.pools, hosts: newHosts(), memo: g.live.cache.NewMemo(cfg.Cache.Memory.Size / memoShare),
		tracer: g.options.Tracer, prometheus: cfg.Telemetry.Metrics.Prometheus,
	}
	if q := cmp.Or(next.queue, g.live.queue); q != nil {
		s.writes = q.Store
	}
	routes, err := compileRoutes(cfg, next, s, g)
	if err != nil {
		return nil, err
	}
	if s.router, err = newRouter(routes); err != nil {
		return nil, err
	}
	s.guard = edge.GuardConfig{
		TrustedProxies: cfg.Server.TrustedProxies, URLBytes: int(cfg.Server.Limits.URLBytes),
		QueryParams: cfg.Server.Limits.QueryParams, HeaderBytes: int(cfg.Server.Limits.HeaderBytes),
	}
	s.memo.Locate = s.locate
	guard := edge.NewGuard(s.guard)
	s.handler = guard(http.HandlerFunc(s.dispatch))
	s.explainer = guard(http.HandlerFunc(s.explain))
	return s, nil
}

// compileRoutes compiles the routes of parts last: a part may be read through another route, wherever that stands.
func compileRoutes(cfg *config.Config, next *generation, s *Snapshot, g *Gateway) ([]*route, error) {
	routes := make([]*route, len(cfg.Routes))
	for _, parts := range []bool{false, true} {
		for i, r := range cfg.Routes {
			if (r.Aggregate != nil) != parts {
				continue
			}
			compiled, err := compileRoute(cfg, r, next, s, g)
			if err != nil {
				return nil, fmt.Errorf("route %s: %w", r.Name, err)
			}
			routes[i] = compiled
		}
	}
	return routes, nil
}

func compileRoute(cfg *config.Config, r *config.Route, next *generation, s *Snapshot, g *Gateway) (*route, error) {
	res, err := compileResource(cfg, r, next, s)
	if err != nil {
		return nil, err
	}
	res.Invalidate, res.Through = compileInvalidate(cfg, r, res.Target, s), compileThrough(r, s)
	if plain(r) {
		res.Memo = s.memo
	}
	requireHTTPS, err := edge.RequireHTTPS(edge.HTTPSMode(r.RequireHTTPS))
	if err != nil {
		return nil, err
	}
	handler, explain := s.cache.Handler(res), s.cache.Explainer(res)
	pages, err := compilePages(cfg, r)
	if err != nil {
		return nil, err
	}
	if pages != nil {
		tagPages(&res.Tags, r.Name)
		handler, explain = pagesHandler(pages, s.live.ahead(r, res, pages), handler), pagesHandler(pages, nil, explain)
	}
	if behind := compileBehind(cfg, r, res, s); behind != nil {
		handler = behind(handler)
	}
	front := func(next http.Handler) http.Handler { return requireHTTPS(edge.LimitBody(r.Limits.BodyBytes)(next)) }
	captures := r.Rewrite.Path != "" || res.Tags.Expand != nil || len(r.Writes.Targets) > 0 || r.Aggregate != nil || r.Batch != nil || pages != nil
	return &route{
		pages: pages,
		name:  r.Name, host: r.Match.Host, path: r.Match.Path, methods: r.Match.Methods, captures: captures,
		direct: direct(r, res), https: r.RequireHTTPS != config.RequireHTTPSOff,
		rules: res.Rules, resource: res, handler: front(handler), explain: front(explain),
	}, nil
}

// plain reports whether a hit may be answered without the route's handler, once it has answered the same request: what it does beside asking the cache
// is the same each time, or concerns other requests. Requiring HTTPS goes by the scheme, which is remembered with the request, and a limit for bodies
// by a body. A route that counts, admits or marks single requests is not plain, nor one whose hits have other pages fetched.
func plain(r *config.Route) bool {
	return r.Cache.Enabled && (r.Paginate == nil || r.Paginate.Prefetch == 0)
}

// direct reports whether the place of a route's responses follows from host, path and query alone, and no such request is refused before it is looked
// for. A rewrite by a template may find a value that leaves its place.
func direct(r *config.Route, res *cache.Resource) bool {
	return res.Memo != nil && r.Paginate == nil && r.Rewrite.Path == "" && res.Tiers.Memory && res.Rules.KeyedByURL()
}

// compileResource is the cache's side of a route.
func compileResource(cfg *config.Config, r *config.Route, next *generation, s *Snapshot) (*cache.Resource, error) {
	origin, err := compileOrigin(cfg, r, next, s)
	if err != nil {
		return nil, err
	}
	origin, respond, err := compileHeaders(r, origin)
	if err != nil {
		return nil, err
	}
	target, err := compileRewrite(r)
	if err != nil {
		return nil, err
	}
	res := &cache.Resource{
		Rules: compileRules(r), Origin: origin, Respond: respond, Target: target,
		Coalesce: cache.Coalesce{
			Enabled: r.Coalesce.Enabled, MaxWaiters: r.Coalesce.MaxWaiters, Wait: r.Coalesce.Wait, AcrossInstances: r.Coalesce.AcrossInstances,
		},
		Tiers:       compileTiers(r),
		Tags:        compileTags(r),
		MaxVariants: r.Cache.Vary.MaxVariants, MaxObject: cfg.Cache.Memory.MaxObject, Errors: compileErrors(r),
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

// compileOrigin is where a route's answers come from.
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
	return linkedPages(cfg, r, pages, next.pools[r.Upstream]), nil
}

func compileTiers(r *config.Route) cache.Tiers {
	return cache.Tiers{Memory: slices.Contains(r.Cache.Tiers, config.TierMemory), Shared: slices.Contains(r.Cache.Tiers, config.TierRedis)}
}

// headerOrigin applies a route's request header rules on the way to the upstream, after the key was made: they can't split the cache.
type headerOrigin struct {
	rules *edge.HeaderRules
	next  http.RoundTripper
}

// RoundTrip changes req's header, which is the exchange's own.
func (o *headerOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	o.rules.Apply(req.Header)
	return o.next.RoundTrip(req)
}

func compileHeaders(r *config.Route, pool http.RoundTripper) (http.RoundTripper, func(http.Header), error) {
	request, err := compileOps(r.Headers.Request)
	if err != nil {
		return nil, nil, fmt.Errorf("headers.request: %w", err)
	}
	response, err := compileOps(r.Headers.Response)
	if err != nil {
		return nil, nil, fmt.Errorf("headers.response: %w", err)
	}
	if request != nil {
		pool = &headerOrigin{request, pool}
	}
	if response == nil {
		return pool, nil, nil
	}
	return pool, response.Apply, nil
}

func compileOps(ops config.FieldOps) (*edge.HeaderRules, error) {
	if len(ops.Set) == 0 && len(ops.Add) == 0 && len(ops.Remove) == 0 {
		return nil, nil
	}
	return edge.CompileHeaderRules(ops.Set, ops.Add, ops.Remove)
}

// compileRewrite gives nil where the path goes upstream as it came.
func compileRewrite(r *config.Route) (cache.Target, error) {
	if r.Rewrite == (config.Rewrite{}) {
		return nil, nil
	}
	rw, err := upstream.CompileRewrite(r.Rewrite.StripPrefix, r.Rewrite.AddPrefix, r.Rewrite.Path, patternParams(r.Match.Path))
	if err != nil {
		return nil, err
	}
	return rewriteTarget(rw), nil
}

// patternParams are the names that a chi pattern captures.
func patternParams(pattern string) []string {
	var names []string
	for rest := pattern; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			break
		}
		spec, tail, _ := strings.Cut(after, "}")
		name, _, _ := strings.Cut(spec, ":")
		names, rest = append(names, name), tail
	}
	if strings.HasSuffix(pattern, "*") {
		names = append(names, "*")
	}
	return names
}

func compileRules(r *config.Route) *cachepolicy.Rules {
	c := &r.Cache
	rules := &cachepolicy.Rules{
		Route: r.Name, Enabled: c.Enabled,
		TTLDefault: c.TTL.Default, TTLMin: c.TTL.Min, TTLMax: c.TTL.Max, TTLStatus: c.TTL.Status, TTLJitter: c.TTL.Jitter,
		QueryInclude: c.Key.Query.Include, QueryExclude: c.Key.Query.Exclude, QuerySort: c.Key.Query.Sort,
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
	for _, rule := range r.CacheControl {
		rules.CacheControl = append(rules.CacheControl, cachepolicy.CacheControlRule{
			Extensions: rule.When.Extensions, ContentTypes: rule.When.ContentTypes, Status: rule.When.Status,
			Set: rule.Set, Override: rule.Mode == config.CacheControlOverride,
		})
	}
	return rules
}

// compileCompress gives the policy and what the origin is asked for: the codings of the route, so that one that codes well spares the
// transfer, and so that all clients' requests are alike to it.
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

func compileErrors(r *config.Route) []*cache.ErrorPage {
	var pages []*cache.ErrorPage
	for _, e := range r.Errors {
		pages = append(pages, &cache.ErrorPage{
			Status: slices.Clone(e.Status), Serve: e.Serve, As: e.As, CacheFor: e.CacheFor, Body: e.Body, ContentType: e.ContentType,
		})
	}
	return pages
}
