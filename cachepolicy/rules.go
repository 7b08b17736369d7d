package cachepolicy

import "time"

// Rules is one route's compiled cache policy. It is immutable and safe for concurrent use.
type Rules struct {
	Route   string // name of the route; part of every key
	Enabled bool
	// Sharing names the rules by which the route shares stored responses. "" means the default
	// rules. It is part of the key, so that a response stored under other rules answers no request,
	// in any tier.
	Sharing string

	// TTLDefault is the lifetime if the origin sends no lifetime, for statuses to which RFC 9110
	// §15.1 lets caches assign one. If it is 0, a heuristic applies (RFC 9111 §4.2.2).
	TTLDefault time.Duration
	TTLMin     time.Duration // minimum for the origin's lifetime; never applies to no-store, private and no-cache
	TTLMax     time.Duration // maximum; 0: no maximum
	// TTLStatus is the lifetime for each status if the origin sends no lifetime. It also allows
	// storing errors that a request itself may have caused.
	TTLStatus map[int]time.Duration
	TTLJitter float64 // the largest share of the lifetime that is subtracted at random, 0 to 1

	QueryInclude []string // glob patterns of parameter names in the key; nil or ["*"]: all
	QueryExclude []string // glob patterns of parameter names not in the key
	QuerySort    bool
	KeyHeaders   []string // canonical field names whose values are part of the key
	KeyCookies   []string // cookie names whose values are part of the key

	StaleRevalid time.Duration // stale-while-revalidate if the origin sends no such window
	StaleError   time.Duration // stale-if-error if the origin sends no such window
	EarlyBeta    float64       // XFetch beta; 0: no early refresh

	Authorization AuthorizationMode
	SetCookie     SetCookieMode
	Cookies       CookieMode             // which responses a request with a cookie shares
	Forwards      func(name string) bool // whether the route forwards a request field to the origin; nil: all fields
	IgnoreCookies []string               // glob patterns of cookies that do not count for Cookies; KeyCookies do not count either
	IgnoreClient  bool                   // client_directives: ignore; the request's Cache-Control and Pragma are not read
	// IgnoreOrigin is the key ignore_origin: only the TTL fields count. Storing and freshness then
	// ignore Cache-Control, including private and no-store, and Expires, Age and Last-Modified.
	// Authorization, SetCookie and Vary still apply.
	IgnoreOrigin bool
	// Targets are the targeted fields (RFC 9213) of this cache in canonical form. The first one
	// that is present and valid counts. nil means CDN-Cache-Control only. IgnoreOrigin disables
	// them.
	Targets    []string
	Transcodes bool // the gateway negotiates content codings itself, so Accept-Encoding never makes variants

	CacheControl []CacheControlRule // the first matching rule rewrites the response's Cache-Control
}

// AuthorizationMode says how the cache treats a request with an Authorization field.
type AuthorizationMode uint8

const (
	AuthorizationRFC   AuthorizationMode = iota // RFC 9111 §3.5
	AuthorizationNever                          // the request bypasses the cache
	AuthorizationKey                            // the value is part of the key
)

// SetCookieMode says how the cache treats a response with Set-Cookie.
type SetCookieMode uint8

const (
	SetCookiePass  SetCookieMode = iota // it is not stored
	SetCookieStrip                      // it is stored and delivered without Set-Cookie
	SetCookieStore                      // it is stored unchanged
)

// CacheControlRule sets the Cache-Control of matching responses. An empty condition matches every
// response.
type CacheControlRule struct {
	Extensions   []string // lower case, no dot; matches only if the Content-Type fits the extension
	ContentTypes []string // media types, "text/*" allowed
	Status       []int    // nil: every status, but a rule with a lifetime, public or immutable does not match errors (400 and above)
	Set          string   // the new field value
	Override     bool     // false: only if the origin sent neither Cache-Control nor Expires
}
