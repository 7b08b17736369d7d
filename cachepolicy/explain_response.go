package cachepolicy

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ground is a statement of a message or of the rules about caching, with its effect.
type Ground struct {
	Source string // the field that holds it, or "rules"
	Text   string // as in s-maxage=60
	Counts bool   // true if the statement has an effect; false if another one overrides it or the rules ignore it
	Says   string // its effect, or why it has no effect
}

// RuleResult is the result of the rules for a response.
type RuleResult struct {
	Grounds []Ground
	// Lifetime is the freshness lifetime before jitter. Named is the lifetime before Rules.TTLMin
	// and TTLMax.
	Lifetime, Named time.Duration
	Source          LifetimeSource
	// StaleRevalid and StaleError are the windows after the lifetime. StaleError is negative if the
	// origin forbids stale responses on errors.
	StaleRevalid, StaleError time.Duration
}

// ExplainResponse lists the statements that Settle considers for the answer a to q, with and
// without effect. It decides nothing: each line is the result of one of Settle's own steps.
func (r *Rules) ExplainResponse(q *Request, a *Answer) RuleResult {
	c := r.control(a.Header)
	e := ruling{rules: r, q: q, a: a, c: &c}
	e.Named, e.Source = r.namedLifetime(a.Status, a.Header, &c, a.Received)
	e.Lifetime = r.bounded(e.Named, e.Source)
	e.StaleRevalid, e.StaleError = r.windows(&c, e.Lifetime)
	e.fieldsWithDirectives()
	e.directives()
	e.fields()
	e.life()
	return e.RuleResult
}

// ruling collects the grounds of one response.
type ruling struct {
	RuleResult
	rules *Rules
	q     *Request
	a     *Answer
	c     *control
}

const fromRules = "rules"

func (e *ruling) add(source, text string, counts bool, says string) {
	e.Grounds = append(e.Grounds, Ground{source, text, counts, says})
}

// fieldsWithDirectives explains which of the fields with directives holds for this cache.
func (e *ruling) fieldsWithDirectives() {
	if e.rules.IgnoreOrigin {
		e.add(fromRules, "ignore_origin", true, "the origin's fields about storing and freshness are ignored; only ttl counts")
		return
	}
	for _, name := range e.rules.targets() {
		if len(e.a.Header[name]) > 0 && e.c.field != name {
			e.add(name, strings.Join(e.a.Header[name], ", "), false, "it is not a valid Dictionary, or an earlier targeted field is valid (RFC 9213 section 2.1)")
		}
	}
	if lines := e.a.Header["Cache-Control"]; len(lines) > 0 && e.c.field != "Cache-Control" {
		e.add("Cache-Control", strings.Join(lines, ", "), false, e.c.field+" overrides it for this cache (RFC 9213 section 2.2)")
	}
	if lines := e.a.Header["Pragma"]; len(lines) > 0 {
		e.add("Pragma", strings.Join(lines, ", "), false, "it has no meaning in a response (RFC 9111 section 5.4)")
	}
}

// directives explains the directives of the response.
func (e *ruling) directives() {
	c := e.c
	for _, d := range [...]struct {
		flag   directives
		text   string
		counts bool
		says   string
	}{
		{hasNoStore, "no-store", !c.any(hasMustUnderstand), "it must not be stored (RFC 9111 section 5.2.2.5)"},
		{hasPrivate, "private", true, "a shared cache must not store it (RFC 9111 section 5.2.2.7)"},
		{hasNoCache, "no-cache", true, "it may be stored, but each use needs validation with the origin (RFC 9111 section 5.2.2.4)"},
		{hasMustUnderstand, "must-understand", true, "it may be stored if this cache understands the status, despite no-store (RFC 9111 section 5.2.2.3)"},
		{hasSMaxAge, delta("s-maxage", c.sMaxAge), e.Source == LifetimeSMaxAge, "the lifetime for shared caches (RFC 9111 section 5.2.2.10); not served stale after it"},
		{hasMaxAge, delta("max-age", c.maxAge), e.Source == LifetimeMaxAge, "the lifetime (RFC 9111 section 5.2.2.1)"},
		{hasPublic, "public", true, "it may be stored even if its status or Authorization would forbid it (RFC 9111 section 5.2.2.9)"},
		{hasMustRevalidate, "must-revalidate", true, "it may not be served stale (RFC 9111 section 5.2.2.2)"},
		{hasProxyRevalidate, "proxy-revalidate", true, "a shared cache may not serve it stale (RFC 9111 section 5.2.2.8)"},
		{hasStaleRevalid, delta("stale-while-revalidate", c.staleRevalid), e.StaleRevalid == c.staleRevalid, "served for this long after its lifetime while it is refreshed (RFC 5861 section 3)"},
		{hasStaleError, delta("stale-if-error", c.staleError), e.StaleError == c.staleError || e.StaleError == noStaleError && c.staleError == 0, "served for this long after its lifetime if the origin fails (RFC 5861 section 4)"},
		{hasImmutable, "immutable", true, "a client's reload does not reach the origin while it is fresh (RFC 8246)"},
		{hasNoTransform, "no-transform", true, "its coding is left as it is (RFC 9111 section 5.2.2.6)"},
	} {
		if !c.any(d.flag) {
			continue
		}
		if !d.counts {
			d.says = "overridden by " + e.override(d.flag)
		}
		e.add(c.field, d.text, d.counts, d.says)
	}
	if len(c.private) > 0 {
		e.add(c.field, "private="+strings.Join(c.private, ", "), true, "these fields are not stored; the rest of the response is (RFC 9111 section 5.2.2.7)")
	}
	if len(c.noCache) > 0 {
		e.add(c.field, "no-cache="+strings.Join(c.noCache, ", "), true, "these fields are not stored; the rest of the response is (RFC 9111 section 5.2.2.4)")
	}
	e.unknown()
}

func delta(name string, d time.Duration) string {
	return name + "=" + strconv.FormatInt(int64(d/time.Second), 10)
}

// short formats d without trailing zero units: 1m, not 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// override names the directive that overrides the given one.
func (e *ruling) override(flag directives) string {
	switch flag {
	case hasNoStore:
		return "must-understand (RFC 9111 section 5.2.2.3)"
	case hasMaxAge:
		return "s-maxage (RFC 9111 section 5.2.2.10)"
	}
	return "must-revalidate, proxy-revalidate or no-cache (RFC 9111 section 4.2.4)"
}

// unknown lists the directives of Cache-Control that this package does not know.
func (e *ruling) unknown() {
	if e.c.field != "Cache-Control" {
		return
	}
	for _, line := range e.a.Header["Cache-Control"] {
		for line != "" {
			var d directive
			if d, line = nextDirective(line); d.name != "" && named(d.name) == 0 {
				e.add("Cache-Control", d.name, false, "unknown, so it is ignored (RFC 9111 section 5.2.3)")
			}
		}
	}
}

// fields explains all fields except Cache-Control and the targeted fields.
func (e *ruling) fields() {
	h := e.a.Header
	if lines := h["Expires"]; len(lines) > 0 && !e.rules.IgnoreOrigin {
		says := "the lifetime: its distance from Date (RFC 9111 section 5.3)"
		if e.Source != LifetimeExpires {
			says = "overridden by a directive or by a targeted field (RFC 9111 section 5.3)"
		}
		e.add("Expires", lines[0], e.Source == LifetimeExpires, says)
	}
	if lines := h["Age"]; len(lines) > 0 {
		e.add("Age", lines[0], !e.rules.IgnoreOrigin, "this much of its lifetime has passed when it arrives (RFC 9111 section 4.2.3)")
	}
	e.rule()
	e.cookies()
	e.requestCookies()
	e.requestIdentity()
	if e.q.HasAuthorization() {
		e.authorization()
	}
	if lines := h["Vary"]; len(lines) > 0 {
		e.vary(lines)
	}
}

// rule warns of a cache_control rule that may make one user's page public.
func (e *ruling) rule() {
	i := e.rules.MatchCacheControl(e.q, e.a.Status, e.a.Header)
	if i >= 0 && e.rules.CacheControl[i].exposesPages(e.a.Header) {
		e.add(fromRules, fmt.Sprintf("cache_control[%d]", i), true, "makes the response public for every client. Pages for one user can have this Content-Type too: "+
			"use the rule only for paths that hold nothing but files")
	}
}

func (e *ruling) cookies() {
	if len(e.a.Header["Set-Cookie"]) == 0 && len(e.a.Header["Set-Cookie2"]) == 0 {
		return
	}
	switch {
	case e.rules.refusesCookies(e.a.Header, e.c):
		e.add("Set-Cookie", "", true, "a cookie is for one client, so the response is not stored (cache.set_cookie: pass)")
	case e.rules.SetCookie == SetCookieStrip:
		e.add("Set-Cookie", "", true, "removed before the response is stored and sent (cache.set_cookie: strip)")
	case e.rules.SetCookie == SetCookieStore:
		e.add("Set-Cookie", "", true, "stored and sent to all clients (cache.set_cookie: store)")
	default:
		e.add("Set-Cookie", "", false, "a directive names this field, so it is not stored (RFC 9111 sections 5.2.2.4 and 5.2.2.7)")
	}
}

// requestCookies explains the effect of the request's cookies on the response.
func (e *ruling) requestCookies() {
	names := strings.Join(e.rules.CountedCookies(e.q), ", ")
	if names == "" || e.rules.Cookies == CookiesIgnore {
		return
	}
	vary, _ := e.rules.MakeVary(e.q, e.a.Header)
	switch {
	case e.rules.Cookies == CookiesBypass:
		e.add("Cookie", names, true, "the request bypasses the cache (cache.cookies: bypass)")
	case e.c.declares(e.Named, e.Lifetime, e.Source):
		e.add("Cookie", names, false, "the response is declared reusable, so requests with cookies share it")
	case vary.variesOnCookie():
		e.add("Cookie", names, true, "Vary names Cookie: only requests with the same cookies share the response")
	default:
		e.add("Cookie", names, true, "neither the origin nor a cache_control rule declares the response reusable, so only this client gets it (cache.cookies: explicit)")
	}
}

// requestIdentity explains the effect of the request's fields that identify a user.
func (e *ruling) requestIdentity() {
	vary, _ := e.rules.MakeVary(e.q, e.a.Header)
	for _, name := range e.rules.CountedIdentity(e.q) {
		switch {
		case e.c.declares(e.Named, e.Lifetime, e.Source):
			e.add(name, "", false, "it identifies the user, but the response is declared reusable, so all requests share it")
		case vary.varies(name):
			e.add(name, "", true, "Vary names it: only requests with the same value share the response")
		default:
			e.add(name, "", true, "it identifies the user, and neither the origin nor a cache_control rule declares the response reusable, so only this client gets it")
		}
	}
}

func (e *ruling) authorization() {
	switch {
	case e.rules.Authorization == AuthorizationKey:
		e.add("Authorization", "", true, "part of the key, so each value has its own stored responses (cache.authorization: key)")
	case e.rules.Authorization == AuthorizationNever:
		e.add("Authorization", "", true, "the request bypasses the cache (cache.authorization: never)")
	case e.rules.mayShare(e.q, e.c):
		e.add("Authorization", "", true, "public, s-maxage or must-revalidate allows the cache to store the response (RFC 9111 section 3.5)")
	default:
		e.add("Authorization", "", true, "without public, s-maxage or must-revalidate only this client gets the response (RFC 9111 section 3.5)")
	}
}

func (e *ruling) vary(lines []string) {
	text := strings.Join(lines, ", ")
	names, ok := e.rules.varyNames(lines)
	switch {
	case !ok:
		e.add("Vary", text, true, "the cache can't tell which other requests match, so the response is not stored (RFC 9111 section 4.1)")
	case len(names) == 0:
		e.add("Vary", text, false, "it makes no variants: Host is in the key, and the gateway negotiates codings itself")
	default:
		e.add("Vary", text, true, "one variant for each value of "+strings.Join(names, ", ")+" (RFC 9111 section 4.1)")
	}
}

// life explains the source of the lifetime if it is not a directive, and how the rules change it.
func (e *ruling) life() {
	r := e.rules
	switch e.Source {
	case LifetimeStatus:
		e.add(fromRules, fmt.Sprintf("ttl.status[%d]=%s", e.a.Status, short(e.Named)), true, "the lifetime, since the origin sends none")
	case LifetimeDefault:
		e.add(fromRules, fmt.Sprintf("ttl.default=%s", short(e.Named)), true, "the lifetime, since the origin sends none")
	case LifetimeGuess:
		e.add("Last-Modified", e.a.Header.Get("Last-Modified"), true, "the lifetime: a tenth of the time since the last change, at most a day (RFC 9111 section 4.2.2)")
	case LifetimeNone:
		e.add(fromRules, "", false, e.noLifetime())
	}
	if e.Source.explicit() && r.TTLMin > e.Named {
		e.add(fromRules, fmt.Sprintf("ttl.min=%s", short(r.TTLMin)), true, "raises the origin's lifetime")
	}
	if r.TTLMax > 0 && max(e.Named, r.TTLMin) > r.TTLMax && e.Lifetime == r.TTLMax {
		e.add(fromRules, fmt.Sprintf("ttl.max=%s", short(r.TTLMax)), true, "limits the lifetime")
	}
	if r.TTLJitter > 0 && e.Lifetime >= time.Second {
		e.add(fromRules, fmt.Sprintf("ttl.jitter=%.0f%%", 100*r.TTLJitter), true, "up to this share is taken off the lifetime at random")
	}
	if e.StaleRevalid > 0 && !e.c.any(hasStaleRevalid) {
		e.add(fromRules, fmt.Sprintf("stale_while_revalidate=%s", short(e.StaleRevalid)), true, "the origin sends no such window")
	}
	if e.StaleError > 0 && !e.c.any(hasStaleError) {
		e.add(fromRules, fmt.Sprintf("stale_if_error=%s", short(e.StaleError)), true, "the origin sends no such window")
	}
}

// noLifetime explains why the response has no lifetime.
func (e *ruling) noLifetime() string {
	switch {
	case !slices.Contains(heuristic, e.a.Status) && !e.c.any(hasPublic):
		return fmt.Sprintf("the origin sends no lifetime, and a cache may not assume one for status %d (RFC 9110 section 15.1); set ttl.status to give it one", e.a.Status)
	case e.rules.IgnoreOrigin:
		return "ignore_origin is set, and neither ttl.default nor ttl.status gives a lifetime"
	}
	return "the origin sends no lifetime, ttl.default is 0, and there is no Last-Modified for a heuristic (RFC 9111 section 4.2.2)"
}

// ExplainRequest lists the cache directives of the request (RFC 9111 section 5.2.1).
func (r *Rules) ExplainRequest(q *Request) []Ground {
	var grounds []Ground
	cc := parseRequestControl(q.Header)
	source := "Cache-Control"
	if len(q.Header["Cache-Control"]) == 0 {
		source = "Pragma"
	}
	for _, d := range [...]struct {
		flag       directives
		text, says string
	}{
		{hasNoStore, "no-store", "the response is not stored, and the store does not answer"},
		{hasNoCache, "no-cache", "a stored response is validated with the origin first"},
		{hasMaxAge, delta("max-age", cc.maxAge), "a stored response must not be older than this"},
		{hasMinFresh, delta("min-fresh", cc.minFresh), "a stored response must stay fresh for at least this long"},
		{hasMaxStale, maxStaleText(cc.maxStale), "a response stale for at most this long is accepted"},
		{hasStaleError, delta("stale-if-error", cc.staleError), "if the origin fails, a response stale for at most this long is accepted"},
		{hasOnlyIfCached, "only-if-cached", "the answer is 504 rather than a request to the origin"},
	} {
		if !cc.any(d.flag) {
			continue
		}
		g := Ground{source, d.text, !r.IgnoreClient, d.says}
		if r.IgnoreClient {
			g.Says = "ignored (cache.client_directives: ignore)"
		}
		grounds = append(grounds, g)
	}
	return grounds
}

func maxStaleText(d time.Duration) string {
	if d == anyStaleness {
		return "max-stale"
	}
	return delta("max-stale", d)
}

// ExplainCacheControl returns the index of the rule that ApplyCacheControl uses for a response, and
// whether the rule changes the response. h is the header before the change.
func (r *Rules) ExplainCacheControl(q *Request, status int, h http.Header) (rule int, changes bool) {
	rule = r.MatchCacheControl(q, status, h)
	if rule < 0 {
		return rule, false
	}
	return rule, r.CacheControl[rule].Override || len(h["Cache-Control"]) == 0 && len(h["Expires"]) == 0
}
