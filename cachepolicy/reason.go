package cachepolicy

// Reason names one cause of a decision or verdict. String returns its word for Cache-Status
// details, logs and metrics. The set is closed, so the word may be the label of a metric.
type Reason uint8

const (
	ReasonNone Reason = iota // no cause

	// Why a request bypasses the cache.

	ReasonDisabled       // the route has no cache
	ReasonMethod         // the method is neither GET nor HEAD
	ReasonBody           // a GET or HEAD has content (RFC 9110 §9.3.1)
	ReasonUpgrade        // the answer may be in another protocol (RFC 9110 §7.8)
	ReasonAuthorization  // Authorization, and neither the rules nor RFC 9111 §3.5 allow sharing the response
	ReasonRequestNoStore // the request has no-store (RFC 9111 §5.2.1.5)
	ReasonCookieBypass   // the request has a cookie, and the rules let such requests bypass the cache

	// Why the cache asks the origin.

	ReasonMiss            // no stored response could answer
	ReasonStale           // the stored response is stale (RFC 9111 §4.2)
	ReasonNoCache         // the stored response has no-cache: every use needs validation (RFC 9111 §5.2.2.4)
	ReasonRequestNoCache  // the request has no-cache (RFC 9111 §5.2.1.4, §5.4)
	ReasonRequestMaxAge   // older than the request's max-age (RFC 9111 §5.2.1.1)
	ReasonRequestMinFresh // less fresh than the request's min-fresh (RFC 9111 §5.2.1.3)
	ReasonPartial         // the stored part lacks needed bytes (RFC 9111 §3.3)
	ReasonOnlyIfCached    // the request accepts only a stored response (RFC 9111 §5.2.1.7)

	// Why a stored response was used although it is stale, or refreshed although it is fresh.

	ReasonMaxStale             // the request's max-stale (RFC 9111 §5.2.1.2)
	ReasonStaleWhileRevalidate // RFC 5861 §3
	ReasonEarlyRefresh         // fresh, but refreshed before many requests find it stale (XFetch)
	ReasonUnreachable          // the origin was unreachable (RFC 9111 §4.2.4)
	ReasonTimeout              // the origin did not answer in time
	ReasonInvalidResponse      // the origin's answer was not valid HTTP
	ReasonOverload             // the gateway did not let the request through
	ReasonOriginError          // the origin answered 500, 502, 503 or 504 (RFC 5861 §4)

	// Why a response is not stored.

	ReasonNoStore       // the response has no-store (RFC 9111 §5.2.2.5)
	ReasonPrivate       // the response has private (RFC 9111 §5.2.2.7)
	ReasonCookie        // the request identifies a user, by a cookie or otherwise, and the response is not declared reusable; also why a stored response is not used
	ReasonSetCookie     // the response has Set-Cookie, and the rules say pass
	ReasonVaryAny       // Vary: * (RFC 9111 §4.1)
	ReasonInterim       // not a final response (RFC 9111 §3)
	ReasonNotUnderstood // must-understand, and this cache does not know the status (RFC 9111 §5.2.2.3)
	ReasonStatus        // the status is not heuristically cacheable, and nothing allows storing explicitly (RFC 9111 §3)
	ReasonErrorStatus   // an error that the request itself may have caused, and nothing allows storing explicitly
	ReasonNoFreshness   // never reusable: no lifetime, no window, no validator
	ReasonUnrequested   // an unrequested 304 or 206
	ReasonContentRange  // a 206 without a single valid Content-Range that fits its length (RFC 9110 §14.4)
	ReasonMismatch      // a 304 or 206 with validators other than the stored ones (RFC 9111 §3.4, §4.3.4)
	ReasonHead          // a response to HEAD is not stored; it may freshen a stored GET response (RFC 9111 §4.3.5)
	ReasonEndless       // an endless stream, according to its media type
	ReasonTooLarge      // more bytes than the store accepts
	ReasonInvalidated   // invalidated or purged during the fill

	// Why a response was stored or changed although it is not an ordinary response to a GET.

	ReasonContentLocation // a response to POST that is the representation of the target, as for GET (RFC 9110 §9.3.3)
	ReasonValidated       // 304: the stored response is still valid
	ReasonCombined        // a part joined the stored parts (RFC 9111 §3.4)
	ReasonQueued          // the effect of an accepted write that is not yet applied

	reasonEnd // the number of reasons
)

var reasonWords = [reasonEnd]string{
	ReasonNone:                 "none",
	ReasonDisabled:             "disabled",
	ReasonMethod:               "method",
	ReasonBody:                 "request-body",
	ReasonUpgrade:              "upgrade",
	ReasonAuthorization:        "authorization",
	ReasonRequestNoStore:       "request-no-store",
	ReasonMiss:                 "miss",
	ReasonStale:                "stale",
	ReasonNoCache:              "no-cache",
	ReasonRequestNoCache:       "request-no-cache",
	ReasonRequestMaxAge:        "request-max-age",
	ReasonRequestMinFresh:      "request-min-fresh",
	ReasonPartial:              "partial",
	ReasonOnlyIfCached:         "only-if-cached",
	ReasonMaxStale:             "max-stale",
	ReasonStaleWhileRevalidate: "stale-while-revalidate",
	ReasonEarlyRefresh:         "early-refresh",
	ReasonUnreachable:          "origin-unreachable",
	ReasonTimeout:              "origin-timeout",
	ReasonInvalidResponse:      "origin-invalid",
	ReasonOverload:             "overload",
	ReasonOriginError:          "origin-error",
	ReasonNoStore:              "no-store",
	ReasonPrivate:              "private",
	ReasonCookieBypass:         "cookie-bypass",
	ReasonCookie:               "cookie",
	ReasonSetCookie:            "set-cookie",
	ReasonVaryAny:              "vary-any",
	ReasonInterim:              "interim",
	ReasonNotUnderstood:        "must-understand",
	ReasonStatus:               "status",
	ReasonErrorStatus:          "error-status",
	ReasonNoFreshness:          "no-freshness",
	ReasonUnrequested:          "unrequested",
	ReasonContentRange:         "content-range",
	ReasonMismatch:             "validator-mismatch",
	ReasonHead:                 "head",
	ReasonEndless:              "endless",
	ReasonTooLarge:             "too-large",
	ReasonInvalidated:          "invalidated",
	ReasonContentLocation:      "content-location",
	ReasonValidated:            "validated",
	ReasonCombined:             "combined",
	ReasonQueued:               "queued",
}

// String returns the reason's word, which is an sf-token (RFC 9651 §3.3.4).
func (r Reason) String() string {
	if r < reasonEnd {
		return reasonWords[r]
	}
	return "unknown"
}

// Forward returns the fwd value of RFC 9211 §2.2 for a request that went to the origin for this
// reason.
func (r Reason) Forward() Forward {
	switch r {
	case ReasonMethod:
		return ForwardMethod
	case ReasonDisabled, ReasonBody, ReasonUpgrade, ReasonAuthorization, ReasonCookieBypass:
		return ForwardBypass
	case ReasonRequestNoStore, ReasonRequestNoCache, ReasonRequestMaxAge, ReasonRequestMinFresh, ReasonOnlyIfCached:
		return ForwardRequest
	case ReasonMiss:
		return ForwardURIMiss
	case ReasonPartial:
		return ForwardPartial
	case ReasonStale, ReasonNoCache, ReasonStaleWhileRevalidate, ReasonEarlyRefresh:
		return ForwardStale
	}
	return ForwardMiss
}

var actionWords = [...]string{
	Pass: "pass", Fetch: "fetch", Serve: "serve", ServeStale: "serve-stale", ServeAndRefresh: "serve-and-refresh",
	Revalidate: "revalidate", Refuse: "refuse",
}

// String returns the action's word for logs, metrics and explanations.
func (a Action) String() string {
	if int(a) < len(actionWords) {
		return actionWords[a]
	}
	return "unknown"
}

var effectWords = [...]string{
	Relay: "relay", Store: "store", Freshen: "freshen", Combine: "combine", KeepStale: "keep-stale", Drop: "drop", Refetch: "refetch",
}

// String returns the effect's word for logs, metrics and explanations.
func (e Effect) String() string {
	if int(e) < len(effectWords) {
		return effectWords[e]
	}
	return "unknown"
}
