package cachepolicy

// reasonSentences explain each reason in a sentence, with the key or the RFC section that defines
// it.
var reasonSentences = [reasonEnd]string{
	ReasonNone:                 "no obstacle",
	ReasonDisabled:             "the route has no cache (cache.enabled)",
	ReasonMethod:               "the method is neither GET nor HEAD (RFC 9111 section 4)",
	ReasonBody:                 "the request has content, which has no meaning for a GET and can't be part of a key (RFC 9110 section 9.3.1)",
	ReasonUpgrade:              "the request asks for another protocol (RFC 9110 section 7.8)",
	ReasonAuthorization:        "the request has Authorization, and neither the response nor the route allows sharing the answer (RFC 9111 section 3.5)",
	ReasonRequestNoStore:       "the request has no-store (RFC 9111 section 5.2.1.5)",
	ReasonMiss:                 "no stored response could answer",
	ReasonStale:                "the stored response is stale (RFC 9111 section 4.2)",
	ReasonNoCache:              "the response has no-cache, so every use needs validation (RFC 9111 section 5.2.2.4)",
	ReasonRequestNoCache:       "the request has no-cache (RFC 9111 section 5.2.1.4)",
	ReasonRequestMaxAge:        "the stored response is older than the request's max-age (RFC 9111 section 5.2.1.1)",
	ReasonRequestMinFresh:      "the stored response does not stay fresh for the request's min-fresh (RFC 9111 section 5.2.1.3)",
	ReasonPartial:              "the stored part lacks needed bytes (RFC 9111 section 3.3)",
	ReasonOnlyIfCached:         "the request accepts only a stored response, and no usable one is stored (RFC 9111 section 5.2.1.7)",
	ReasonMaxStale:             "stale, but within the request's max-stale (RFC 9111 section 5.2.1.2)",
	ReasonStaleWhileRevalidate: "stale, but within stale-while-revalidate: served while it is refreshed (RFC 5861 section 3)",
	ReasonEarlyRefresh:         "fresh, but refreshed before its end (early_refresh)",
	ReasonUnreachable:          "the origin could not be reached (RFC 9111 section 4.2.4)",
	ReasonTimeout:              "the origin did not answer in time (RFC 9111 section 4.2.4)",
	ReasonInvalidResponse:      "the origin's answer was not a valid HTTP response",
	ReasonOverload:             "the gateway did not let the request through to the origin",
	ReasonOriginError:          "the origin answered with an error, within stale-if-error (RFC 5861 section 4)",
	ReasonNoStore:              "the response has no-store (RFC 9111 section 5.2.2.5)",
	ReasonPrivate:              "the response has private, so it is for one client only (RFC 9111 section 5.2.2.7)",
	ReasonCookieBypass:         "the request has a cookie (cache.cookies: bypass)",
	ReasonCookie:               "the request has a cookie, or another field that identifies a user, and neither the origin nor a cache_control rule declares the response reusable, so it may be for one user only (cache.cookies: explicit)",
	ReasonSetCookie:            "the response sets a cookie (cache.set_cookie: pass)",
	ReasonVaryAny:              "the response has Vary: * or an invalid name in Vary, so the cache can't tell which other requests match (RFC 9111 section 4.1)",
	ReasonInterim:              "the response is not final (RFC 9111 section 3)",
	ReasonNotUnderstood:        "the response has must-understand, and this cache does not know its status (RFC 9111 section 5.2.2.3)",
	ReasonStatus:               "neither the origin nor a rule allows storing explicitly, and this status needs that (RFC 9110 section 15.1)",
	ReasonErrorStatus:          "the request itself may have caused this status, or it is an error, and neither the origin nor a rule allows storing explicitly",
	ReasonNoFreshness:          "storing it would be useless: it is never fresh, can't be validated and may not be served stale",
	ReasonUnrequested:          "the response is an unrequested part or an unrequested 304",
	ReasonContentRange:         "the response is a part without a valid Content-Range (RFC 9110 section 14.4)",
	ReasonMismatch:             "the response does not belong to the stored one (RFC 9111 section 4.3.4)",
	ReasonHead:                 "a response to HEAD is not stored; it only updates a stored GET response (RFC 9111 section 4.3.5)",
	ReasonEndless:              "the response is an endless stream according to its Content-Type, so each client gets its own",
	ReasonTooLarge:             "the response is larger than the store accepts (cache.memory.max_object)",
	ReasonInvalidated:          "the response was invalidated or purged during its fill",
	ReasonContentLocation:      "the response to a POST that also represents the target for GET (RFC 9110 section 9.3.3)",
	ReasonValidated:            "the origin confirmed the stored response (304)",
	ReasonQueued:               "a write to this URL was accepted and is not yet applied (writes.policy: behind)",
	ReasonCombined:             "the part joins the stored parts (RFC 9111 section 3.4)",
}

// Sentence returns the reason as a sentence for people.
func (r Reason) Sentence() string {
	if r < reasonEnd {
		return reasonSentences[r]
	}
	return "unknown"
}

// paramSentences say why a parameter is part of the key or not.
var paramSentences = [...]string{
	ParamKept: "no rule leaves it out", ParamIncluded: "cache.key.query.include", ParamAmbiguous: `it has a ";", which some origins treat as a separator`,
	ParamBroken: "its percent-encoding is broken", ParamExcluded: "cache.key.query.exclude", ParamUnlisted: "not in cache.key.query.include",
}

// Sentence returns the fate as a sentence for people.
func (f ParamFate) Sentence() string {
	if int(f) < len(paramSentences) {
		return paramSentences[f]
	}
	return "unknown"
}
