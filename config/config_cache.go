package config

import "time"

// Cache is a route's cache policy.
type Cache struct {
	// Enabled turns the cache on.
	Enabled bool `key:"enabled" print:"always"`
	// Tiers are the stores that the route uses. By default it uses all configured stores.
	Tiers []Tier `key:"tiers" enum:"memory|redis"`
	// TTL configures the lifetime of responses.
	TTL TTL `key:"ttl"`
	// Key configures the parts of the cache key other than method, scheme, host, path and Vary.
	Key CacheKey `key:"key"`
	// Vary bounds the variants of an object.
	Vary Vary `key:"vary"`
	// StaleWhileRevalidate is how long a stale response is served while it is refreshed, if the
	// origin sends no such window. It extends a lifetime that the origin, ttl or a heuristic gives,
	// and never creates one.
	StaleWhileRevalidate time.Duration `key:"stale_while_revalidate"`
	// StaleIfError is how long a stale response is served if the origin fails, if the origin sends
	// no such window. It extends a lifetime that the origin, ttl or a heuristic gives, and never
	// creates one.
	StaleIfError time.Duration `key:"stale_if_error"`
	// EarlyRefresh is the beta of XFetch: how eagerly the gateway refreshes a popular object before
	// it expires. 0 turns it off.
	EarlyRefresh float64 `key:"early_refresh" min:"0" max:"100"`
	// Authorization says how the cache treats a request with an Authorization field.
	Authorization Authorization `key:"authorization" enum:"rfc|never|key"`
	// SetCookie says how the cache treats a response with Set-Cookie.
	SetCookie SetCookie `key:"set_cookie" enum:"pass|strip|store"`
	// Cookies says which responses a request with a cookie shares with other requests. With
	// explicit, it shares only a response that the origin, or a cache_control rule, declares
	// reusable (max-age, s-maxage, Expires in the future, public with a lifetime). It never shares
	// a response that is fresh only because of ttl, a heuristic or a stale window.
	Cookies Cookies `key:"cookies" enum:"explicit|ignore|bypass"`
	// IgnoreCookies are the cookies that do not count for Cookies; * stands for any characters. The
	// cookies of key.cookies do not count either, because they are in the key. List only cookies
	// that never change the origin's answers.
	IgnoreCookies []string `key:"ignore_cookies" as:"glob"`
	// ClientDirectives says whether a request's Cache-Control counts.
	ClientDirectives ClientDirectives `key:"client_directives" enum:"honour|ignore"`
	// Tags assign a stored response to groups that can be purged together. The gateway keeps up to
	// 1000 tags of a response, of at most 1 KiB each and 16 KiB together. If a response has more, a
	// purge of any tag removes it.
	Tags Tags `key:"tags"`
	// IgnoreOrigin ignores the origin's caching directives, so that only `ttl` counts.
	IgnoreOrigin bool `key:"ignore_origin"`
}

// Tier is a store that a cache uses.
type Tier string

const (
	TierMemory Tier = "memory" // the store inside the process
	TierRedis  Tier = "redis"  // the store that the instances share
)

// Tags assign a stored response to groups.
type Tags struct {
	// Header is the response field that lists tags, separated by spaces or commas.
	Header string `key:"header" as:"field"`
	// From adds tags; {name} stands for a value that match.path captures.
	From []string `key:"from" as:"tag"`
	// Send passes the field of Header on to clients. By default the gateway removes it.
	Send bool `key:"send"`
}

// TTL configures how long responses are fresh.
type TTL struct {
	// Default is the lifetime if the origin sends no lifetime. With 0, a heuristic from
	// Last-Modified applies (RFC 9111 section 4.2.2), and without Last-Modified the response has no
	// lifetime.
	Default time.Duration `key:"default"`
	// Min is the smallest lifetime: a shorter one from the origin is raised to it.
	Min time.Duration `key:"min"`
	// Max is the largest lifetime: a longer one is lowered to it. 0 means no maximum.
	Max time.Duration `key:"max"`
	// Status sets the default lifetime for each status code.
	Status map[int]time.Duration `key:"status" min:"200" max:"599"`
	// Jitter is the largest share of the lifetime that is subtracted at random, so that responses
	// stored at the same time do not expire at the same time.
	Jitter float64 `key:"jitter" as:"share"`
}

// CacheKey configures the parts of the cache key other than method, scheme, host, path and Vary.
type CacheKey struct {
	// Query selects the query parameters.
	Query QueryKey `key:"query"`
	// Headers are the request fields whose values are part of the key. A field that gives a request
	// another URL or method, such as X-HTTP-Method-Override or X-Original-URL, is forwarded only if
	// the route names it here, even on a route without a cache. X-Forwarded-* fields are accepted
	// only from trusted proxies.
	Headers []string `key:"headers" as:"field"`
	// Cookies are the cookies whose values are part of the key.
	Cookies []string `key:"cookies" as:"cookie"`
}

// QueryKey selects the query parameters that are part of the key.
type QueryKey struct {
	// Include lists the parameters that count; * stands for any characters. With an empty list no
	// parameter counts, and the origin gets no parameters.
	Include []string `key:"include" as:"glob"`
	// Exclude lists the parameters that do not count, even if Include lists them.
	Exclude []string `key:"exclude" as:"glob"`
	// Sort makes the order of the parameters irrelevant.
	Sort bool `key:"sort"`
}

// Vary bounds the variants of an object.
type Vary struct {
	// MaxVariants is the number of variants of one object that are kept. If another one arrives, it
	// replaces the least used variant.
	MaxVariants int `key:"max_variants" min:"1" max:"10000"`
}

// Authorization says how the cache treats a request with an Authorization field.
type Authorization string

const (
	AuthorizationRFC   Authorization = "rfc"   // as RFC 9111 section 3.5 allows
	AuthorizationNever Authorization = "never" // the request bypasses the cache
	AuthorizationKey   Authorization = "key"   // each value has its own stored responses
)

// SetCookie says how the cache treats a response with Set-Cookie.
type SetCookie string

const (
	SetCookiePass  SetCookie = "pass"  // it is not stored
	SetCookieStrip SetCookie = "strip" // it is stored and delivered without Set-Cookie
	SetCookieStore SetCookie = "store" // it is stored unchanged
)

// Cookies says which responses a request with a cookie shares with other requests.
type Cookies string

const (
	CookiesExplicit Cookies = "explicit" // only responses that are declared reusable
	CookiesIgnore   Cookies = "ignore"   // cookies make no difference; use it only if the origin does not read them
	CookiesBypass   Cookies = "bypass"   // a request with a cookie bypasses the cache
)

// ClientDirectives says whether a request's Cache-Control counts.
type ClientDirectives string

const (
	ClientDirectivesHonour ClientDirectives = "honour" // it counts
	ClientDirectivesIgnore ClientDirectives = "ignore" // it does not count: a client's no-cache does not reach the origin
)

// Coalesce lets concurrent requests for one object share one upstream call.
type Coalesce struct {
	// Enabled turns coalescing on. It is on by default if the cache is on.
	Enabled bool `key:"enabled" print:"always"`
	// MaxWaiters is the number of requests that may wait for one call. Further requests get a stale
	// response if that is allowed, and otherwise 503.
	MaxWaiters int `key:"max_waiters" min:"1"`
	// Wait is how long requests wait for one call. Then one of them makes another call, and the
	// others wait for it, twice as long each time. A request that has waited for three calls gets
	// 503 with Retry-After, or a stale response if that is allowed.
	Wait time.Duration `key:"wait" min:"1ms"`
	// AcrossInstances lets the instances share calls: one instance fills the object, and the others
	// read it from Redis. It is on by default if redis is one of the tiers.
	AcrossInstances bool `key:"across_instances" print:"always"`
}
