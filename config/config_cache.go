package config

import "time"

// Cache is a route's cache policy.
type Cache struct {
	// Enabled turns the cache on.
	Enabled bool `key:"enabled" print:"always"`
	// Tiers are the stores used.
	// Left out: all that are configured.
	Tiers []Tier `key:"tiers" enum:"memory|redis"`
	// TTL is how long responses are fresh.
	TTL TTL `key:"ttl"`
	// Key is what tells two objects apart beside method, scheme, host, path and Vary.
	Key CacheKey `key:"key"`
	// Vary bounds the variants of an object.
	Vary Vary `key:"vary"`
	// StaleWhileRevalidate is how long a stale response is served while it is refreshed, where the origin says nothing.
	StaleWhileRevalidate time.Duration `key:"stale_while_revalidate"`
	// StaleIfError is how long a stale response is served when the origin fails, where the origin says nothing.
	StaleIfError time.Duration `key:"stale_if_error"`
	// EarlyRefresh is the beta of XFetch: how eagerly a popular object is refreshed before it expires; 0 is off.
	EarlyRefresh float64 `key:"early_refresh" min:"0" max:"100"`
	// Authorization says what a request with an Authorization field may do.
	Authorization Authorization `key:"authorization" enum:"rfc|never|key"`
	// SetCookie says what becomes of a response with Set-Cookie.
	SetCookie SetCookie `key:"set_cookie" enum:"pass|strip|store"`
	// ClientDirectives says whether a request's Cache-Control counts.
	ClientDirectives ClientDirectives `key:"client_directives" enum:"honour|ignore"`
	// Tags say to which groups a stored response belongs, so that they can be purged together.
	Tags Tags `key:"tags"`
	// IgnoreOrigin lets only `ttl` count.
	IgnoreOrigin bool `key:"ignore_origin"`
}

// Tier is a store that a cache uses.
type Tier string

const (
	TierMemory Tier = "memory" // the store inside the process
	TierRedis  Tier = "redis"  // the store that the instances share
)

// Tags say to which groups a stored response belongs.
type Tags struct {
	// Header is the response field whose words are tags, parted by spaces or commas.
	Header string `key:"header" as:"field"`
	// From are further tags, with {name} for what the match's pattern captured.
	From []string `key:"from" as:"tag"`
	// Send passes Header on to clients; else it is taken out.
	Send bool `key:"send"`
}

// TTL is how long responses are fresh.
type TTL struct {
	// Default holds where the origin says nothing; 0: a heuristic by Last-Modified (RFC 9111 section 4.2.2), or not at all.
	Default time.Duration `key:"default"`
	// Min is the floor for what the origin says.
	Min time.Duration `key:"min"`
	// Max is the ceiling for what the origin says; 0: none.
	Max time.Duration `key:"max"`
	// Status has the default by status code.
	Status map[int]time.Duration `key:"status" min:"200" max:"599"`
	// Jitter is the share of the lifetime that is taken off at random, so that what was stored together does not expire together.
	Jitter float64 `key:"jitter" as:"share"`
}

// CacheKey is what tells two objects apart beside method, scheme, host, path and Vary.
type CacheKey struct {
	// Query selects the query parameters.
	Query QueryKey `key:"query"`
	// Headers are the request fields whose values are part of the key.
	Headers []string `key:"headers" as:"field"`
	// Cookies are the cookies whose values are part of the key.
	Cookies []string `key:"cookies" as:"cookie"`
}

// QueryKey selects the query parameters that are part of the key.
type QueryKey struct {
	// Include are the names that count; * stands for any characters.
	Include []string `key:"include" as:"glob"`
	// Exclude are the names that do not count, whatever Include says.
	Exclude []string `key:"exclude" as:"glob"`
	// Sort makes the order of the parameters irrelevant.
	Sort bool `key:"sort"`
}

// Vary bounds the variants of an object.
type Vary struct {
	// MaxVariants is how many variants of one object are kept.
	MaxVariants int `key:"max_variants" min:"1" max:"10000"`
}

// Authorization says what a request with an Authorization field may do.
type Authorization string

const (
	AuthorizationRFC   Authorization = "rfc"   // what RFC 9111 section 3.5 allows
	AuthorizationNever Authorization = "never" // it keeps away from the cache
	AuthorizationKey   Authorization = "key"   // each value has its own objects
)

// SetCookie says what becomes of a response with Set-Cookie.
type SetCookie string

const (
	SetCookiePass  SetCookie = "pass"  // it is not stored
	SetCookieStrip SetCookie = "strip" // it is stored and delivered without Set-Cookie
	SetCookieStore SetCookie = "store" // it is stored as it is
)

// ClientDirectives says whether a request's Cache-Control counts.
type ClientDirectives string

const (
	ClientDirectivesHonour ClientDirectives = "honour" // it does
	ClientDirectivesIgnore ClientDirectives = "ignore" // a client's no-cache does not reach the origin
)

// Coalesce lets concurrent requests for one object share one upstream call.
type Coalesce struct {
	// Enabled is on where the cache is.
	Enabled bool `key:"enabled" print:"always"`
	// MaxWaiters is how many requests wait for one call; more are given what is stale, where that is allowed, or 503.
	MaxWaiters int `key:"max_waiters" min:"1"`
	// Wait is how long a request waits before it goes on alone.
	Wait time.Duration `key:"wait" min:"1ms"`
	// AcrossInstances lets the instances share calls: one of them fills, the others take it from Redis. It is on where redis is among the tiers.
	AcrossInstances bool `key:"across_instances" print:"always"`
}
