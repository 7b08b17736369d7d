package cachepolicy

// reasonSentences say each reason in a sentence, with where it is laid down.
var reasonSentences = [reasonEnd]string{
	ReasonNone:                 "nothing stands in the way",
	ReasonDisabled:             "the route has no cache (cache.enabled)",
	ReasonMethod:               "the method is neither GET nor HEAD (RFC 9111 section 4)",
	ReasonBody:                 "the request has content, which has no meaning for a GET and so is in no key (RFC 9110 section 9.3.1)",
	ReasonUpgrade:              "the request asks for another protocol (RFC 9110 section 7.8)",
	ReasonAuthorization:        "the request has Authorization, and neither the response nor the route allows to share what it is answered with (RFC 9111 section 3.5)",
	ReasonRequestNoStore:       "the request says no-store (RFC 9111 section 5.2.1.5)",
	ReasonMiss:                 "nothing is stored that could answer",
	ReasonStale:                "what is stored is stale (RFC 9111 section 4.2)",
	ReasonNoCache:              "the response says no-cache: every use of it needs validation (RFC 9111 section 5.2.2.4)",
	ReasonRequestNoCache:       "the request says no-cache (RFC 9111 section 5.2.1.4)",
	ReasonRequestMaxAge:        "what is stored is older than the request's max-age (RFC 9111 section 5.2.1.1)",
	ReasonRequestMinFresh:      "what is stored is not fresh for as long as the request's min-fresh (RFC 9111 section 5.2.1.3)",
	ReasonPartial:              "bytes that are needed are not stored (RFC 9111 section 3.3)",
	ReasonOnlyIfCached:         "the request wants nothing but what is stored, and nothing usable is (RFC 9111 section 5.2.1.7)",
	ReasonMaxStale:             "stale, but within the request's max-stale (RFC 9111 section 5.2.1.2)",
	ReasonStaleWhileRevalidate: "stale, but within stale-while-revalidate: served while it is refreshed (RFC 5861 section 3)",
	ReasonEarlyRefresh:         "fresh, but refreshed before its end (early_refresh)",
	ReasonUnreachable:          "the origin could not be reached (RFC 9111 section 4.2.4)",
	ReasonTimeout:              "the origin did not answer in time (RFC 9111 section 4.2.4)",
	ReasonInvalidResponse:      "what the origin sent was no HTTP response",
	ReasonOverload:             "the gateway did not let the request through to the origin",
	ReasonOriginError:          "the origin answered with an error, within stale-if-error (RFC 5861 section 4)",
	ReasonNoStore:              "the response says no-store (RFC 9111 section 5.2.2.5)",
	ReasonPrivate:              "the response says private: it is for one client alone (RFC 9111 section 5.2.2.7)",
	ReasonSetCookie:            "the response sets a cookie (cache.set_cookie: pass)",
	ReasonVaryAny:              "the response says Vary: *, or names something that is no field: nobody can tell whom else it suits (RFC 9111 section 4.1)",
	ReasonInterim:              "the response is not a final one (RFC 9111 section 3)",
	ReasonNotUnderstood:        "the response says must-understand, and its status is not known here (RFC 9111 section 5.2.2.3)",
	ReasonStatus:               "nothing explicit is said, and the status is none that may be stored without (RFC 9110 section 15.1)",
	ReasonErrorStatus:          "the status answers what the request itself said, or is an error, and nothing explicit is said that it may be stored",
	ReasonNoFreshness:          "it would be of no use to anybody: it is never fresh, can't be validated and may not be served stale",
	ReasonUnrequested:          "the response is a part or a 304 that was not asked for",
	ReasonContentRange:         "the response is a part without a Content-Range that can be used (RFC 9110 section 14.4)",
	ReasonMismatch:             "the response does not belong to what is stored (RFC 9111 section 4.3.4)",
	ReasonHead:                 "a response to HEAD is not stored; it brings what GET stored up to date (RFC 9111 section 4.3.5)",
	ReasonTooLarge:             "the response is larger than the store takes (cache.memory.max_object)",
	ReasonVariants:             "as many variants as the route allows are stored already (cache.vary.max_variants)",
	ReasonInvalidated:          "it was invalidated or purged while it was on its way",
	ReasonContentLocation:      "the response to a POST that says it is what a GET would bring (RFC 9110 section 9.3.3)",
	ReasonValidated:            "the origin says that what is stored is still right (304)",
	ReasonQueued:               "a write to it was accepted and is yet to be applied (writes.policy: behind)",
	ReasonCombined:             "the part joins the parts that are stored (RFC 9111 section 3.4)",
}

// Sentence says the reason to a person.
func (r Reason) Sentence() string {
	if r < reasonEnd {
		return reasonSentences[r]
	}
	return "unknown"
}

// paramSentences say why a parameter is part of the key or not.
var paramSentences = [...]string{
	ParamKept: "no rule leaves it out", ParamIncluded: "cache.key.query.include", ParamAmbiguous: `it has a ";", which some origins take for a separator`,
	ParamBroken: "its percent-encoding is broken", ParamExcluded: "cache.key.query.exclude", ParamUnlisted: "not in cache.key.query.include",
}

// Sentence says the fate to a person.
func (f ParamFate) Sentence() string {
	if int(f) < len(paramSentences) {
		return paramSentences[f]
	}
	return "unknown"
}
