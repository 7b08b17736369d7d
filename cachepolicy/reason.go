package cachepolicy

// Reason names one cause of a decision or verdict. Its String is the word used in Cache-Status details, logs and metrics: a closed
// set, so it may label a metric.
type Reason uint8

const (
	ReasonNone Reason = iota // nothing to explain

	// Why a request keeps away from the cache.

	ReasonDisabled       // the route has no cache
	ReasonMethod         // the method is neither GET nor HEAD
	ReasonBody           // a GET or HEAD with content (RFC 9110 §9.3.1)
	ReasonUpgrade        // the answer may be another protocol (RFC 9110 §7.8)
	ReasonAuthorization  // Authorization, and the rules or RFC 9111 §3.5 don't allow sharing the response
	ReasonRequestNoStore // the request says no-store (RFC 9111 §5.2.1.5)

	// Why the origin is asked.

	ReasonMiss            // nothing is stored that could answer
	ReasonStale           // the stored response is stale (RFC 9111 §4.2)
	ReasonNoCache         // the stored response says no-cache: every use needs validation (RFC 9111 §5.2.2.4)
	ReasonRequestNoCache  // the request says no-cache (RFC 9111 §5.2.1.4, §5.4)
	ReasonRequestMaxAge   // older than the request's max-age (RFC 9111 §5.2.1.1)
	ReasonRequestMinFresh // less fresh than the request's min-fresh (RFC 9111 §5.2.1.3)
	ReasonPartial         // bytes that are needed are not held (RFC 9111 §3.3)
	ReasonOnlyIfCached    // the request wants nothing but what is stored (RFC 9111 §5.2.1.7)

	// Why a stored response was used although it is stale, or refreshed although it is fresh.

	ReasonMaxStale             // the request's max-stale (RFC 9111 §5.2.1.2)
	ReasonStaleWhileRevalidate // RFC 5861 §3
	ReasonEarlyRefresh         // fresh, but refreshed ahead of a herd (XFetch)
	ReasonUnreachable          // the origin could not be reached (RFC 9111 §4.2.4)
	ReasonTimeout              // the origin did not answer in time
	ReasonInvalidResponse      // what the origin sent was no HTTP response
	ReasonOverload             // the gateway did not let the request through
	ReasonOriginError          // the origin answered 500, 502, 503 or 504 (RFC 5861 §4)

	// Why a response is not stored.

	ReasonNoStore       // the response says no-store (RFC 9111 §5.2.2.5)
	ReasonPrivate       // the response says private (RFC 9111 §5.2.2.7)
	ReasonSetCookie     // the response has Set-Cookie and the rules say pass
	ReasonVaryAny       // Vary: * (RFC 9111 §4.1)
	ReasonInterim       // not a final response (RFC 9111 §3)
	ReasonNotUnderstood // must-understand, and the status is not known here (RFC 9111 §5.2.2.3)
	ReasonStatus        // the status is not heuristically cacheable and nothing explicit is said (RFC 9111 §3)
	ReasonErrorStatus   // an error that the request itself may have provoked, without anything explicit
	ReasonNoFreshness   // it could never be reused: no lifetime, no window, no validator
	ReasonUnrequested   // a 304 or 206 that nothing asked for
	ReasonContentRange  // a 206 without one valid Content-Range that fits its length (RFC 9110 §14.4)
	ReasonMismatch      // a 304 or 206 with other validators than what is stored (RFC 9111 §3.4, §4.3.4)
	ReasonHead          // a response to HEAD is not stored; it may freshen what GET stored (RFC 9111 §4.3.5)
	ReasonTooLarge      // more bytes than the store takes
	ReasonVariants      // as many variants as the rules allow are stored already
	ReasonInvalidated   // invalidated or purged while it was on its way

	// Why something else than the response to a GET is stored or changed.

	ReasonContentLocation // the response to a POST that says it is what a GET would bring (RFC 9110 §9.3.3)
	ReasonValidated       // 304: the stored response is still right
	ReasonCombined        // a part joined the parts that are stored (RFC 9111 §3.4)
	ReasonQueued          // what a write brings about that was accepted and is yet to be applied

	reasonEnd // no reason: the number of them
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
	ReasonTooLarge:             "too-large",
	ReasonVariants:             "too-many-variants",
	ReasonInvalidated:          "invalidated",
	ReasonContentLocation:      "content-location",
	ReasonValidated:            "validated",
	ReasonCombined:             "combined",
	ReasonQueued:               "queued",
}

// String is the reason's word: an sf-token (RFC 9651 §3.3.4).
func (r Reason) String() string {
	if r < reasonEnd {
		return reasonWords[r]
	}
	return "unknown"
}

// Forward is the RFC 9211 §2.2 value for a request that went to the origin for this reason.
func (r Reason) Forward() Forward {
	switch r {
	case ReasonMethod:
		return ForwardMethod
	case ReasonDisabled, ReasonBody, ReasonUpgrade, ReasonAuthorization:
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

// String is the action's word in logs, metrics and explanations.
func (a Action) String() string {
	if int(a) < len(actionWords) {
		return actionWords[a]
	}
	return "unknown"
}

var effectWords = [...]string{
	Relay: "relay", Store: "store", Freshen: "freshen", Combine: "combine", KeepStale: "keep-stale", Drop: "drop", Refetch: "refetch",
}

// String is the effect's word in logs, metrics and explanations.
func (e Effect) String() string {
	if int(e) < len(effectWords) {
		return effectWords[e]
	}
	return "unknown"
}
