package build

import (
	"slices"
	"strings"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
)

// compileRules returns the caching policy of a route.
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
