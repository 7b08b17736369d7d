package cachepolicy

import "time"

// Rules is one route's compiled cache policy. It is immutable and safe for concurrent use.
type Rules struct {
	Route   string // name of the route: part of every key
	Enabled bool

	TTLDefault time.Duration         // lifetime where the origin says nothing, for statuses that RFC 9110 §15.1 lets caches guess about; 0: a heuristic (RFC 9111 §4.2.2)
	TTLMin     time.Duration         // floor for what the origin says (never for no-store, private, no-cache)
	TTLMax     time.Duration         // ceiling; 0: none
	TTLStatus  map[int]time.Duration // lifetime per status where the origin says nothing; lets errors be stored that a request may have provoked
	TTLJitter  float64               // share of the lifetime taken off at random, 0 to 1

	QueryInclude []string // glob patterns of parameter names that are part of the key; nil or ["*"]: all
	QueryExclude []string // glob patterns of names that are not
	QuerySort    bool
	KeyHeaders   []string // canonical field names whose values are part of the key
	KeyCookies   []string // cookie names whose values are part of the key

	StaleRevalid time.Duration // stale-while-revalidate where the origin says nothing
	StaleError   time.Duration // stale-if-error where the origin says nothing
	EarlyBeta    float64       // XFetch beta; 0: no early refresh

	Authorization AuthorizationMode
	SetCookie     SetCookieMode
	IgnoreClient  bool // client_directives: ignore: request Cache-Control and Pragma are not read
	// IgnoreOrigin, ignore_origin: only the TTL fields count. Cache-Control, also its private and no-store, Expires, Age and
	// Last-Modified are not read for storing and freshness. Authorization and SetCookie hold all the same, as does Vary.
	IgnoreOrigin bool
	// Targets are the fields of RFC 9213 that are meant for this cache, as http.CanonicalHeaderKey writes them: the first that is there
	// and valid wins.
	// nil: CDN-Cache-Control alone. Not read with IgnoreOrigin.
	Targets    []string
	Transcodes bool // the gateway negotiates content codings itself: Accept-Encoding never splits variants

	CacheControl []CacheControlRule // first that matches rewrites the response's Cache-Control
}

// AuthorizationMode says what a request with an Authorization field may do.
type AuthorizationMode uint8

const (
	AuthorizationRFC   AuthorizationMode = iota // RFC 9111 §3.5
	AuthorizationNever                          // such requests keep away from the cache
	AuthorizationKey                            // the value is part of the key
)

// SetCookieMode says what becomes of a response with Set-Cookie.
type SetCookieMode uint8

const (
	SetCookiePass  SetCookieMode = iota // it is not stored
	SetCookieStrip                      // stored and delivered without Set-Cookie
	SetCookieStore                      // stored as it is
)

// CacheControlRule sets the Cache-Control of matching responses. Empty conditions match everything.
type CacheControlRule struct {
	Extensions   []string // lower case, no dot; holds only when the Content-Type fits the extension
	ContentTypes []string // media types, "text/*" allowed
	Status       []int    // nil: every status, but a rule that grants a lifetime or public leaves errors (400 and above) alone
	Set          string   // the new field value
	Override     bool     // else: only where the origin sent neither Cache-Control nor Expires
}
