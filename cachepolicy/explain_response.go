package cachepolicy

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ground is something that a message or the rules say about caching, and what comes of it.
type Ground struct {
	Source string // the field it stands in, or "rules"
	Text   string // as in s-maxage=60
	Counts bool   // false: it is outdone by something else, or not heard
	Says   string // what comes of it, or why nothing does
}

// Ruled is what the rules make of a response.
type Ruled struct {
	Grounds []Ground
	// Lifetime is the freshness lifetime before jitter, Named the one before Rules.TTLMin and TTLMax.
	Lifetime, Named time.Duration
	Source          LifetimeSource
	// StaleRevalid and StaleError are the windows after the lifetime; StaleError is negative where the origin forbids it.
	StaleRevalid, StaleError time.Duration
}

// ExplainResponse lists what counted in what Settle makes of a, which answers q, and what did not. It decides nothing: each line is what one of
// Settle's own steps says.
func (r *Rules) ExplainResponse(q *Request, a *Answer) Ruled {
	c := r.control(a.Header)
	e := ruling{rules: r, q: q, a: a, c: &c}
	e.Named, e.Source = r.namedLifetime(a.Status, a.Header, &c, a.Received)
	e.Lifetime = r.bounded(e.Named, e.Source)
	e.StaleRevalid, e.StaleError = r.windows(&c)
	e.heard()
	e.directives()
	e.fields()
	e.life()
	return e.Ruled
}

// ruling collects the grounds of one response.
type ruling struct {
	Ruled
	rules *Rules
	q     *Request
	a     *Answer
	c     *control
}

const fromRules = "rules"

func (e *ruling) add(source, text string, counts bool, says string) {
	e.Grounds = append(e.Grounds, Ground{source, text, counts, says})
}

// heard says which of the fields that could rule the response does.
func (e *ruling) heard() {
	if e.rules.IgnoreOrigin {
		e.add(fromRules, "ignore_origin", true, "what the origin says of storing and freshness is not read; only ttl counts")
		return
	}
	for _, name := range e.rules.targets() {
		if len(e.a.Header[name]) > 0 && e.c.field != name {
			e.add(name, strings.Join(e.a.Header[name], ", "), false, "it is no valid Dictionary, or comes after one that is (RFC 9213 section 2.1)")
		}
	}
	if lines := e.a.Header["Cache-Control"]; len(lines) > 0 && e.c.field != "Cache-Control" {
		e.add("Cache-Control", strings.Join(lines, ", "), false, e.c.field+" is there, and for this cache goes before it (RFC 9213 section 2.2)")
	}
	if lines := e.a.Header["Pragma"]; len(lines) > 0 {
		e.add("Pragma", strings.Join(lines, ", "), false, "it means nothing in a response (RFC 9111 section 5.4)")
	}
}

// directives explains those that the response carries.
func (e *ruling) directives() {
	c := e.c
	for _, d := range [...]struct {
		flag   directives
		text   string
		counts bool
		says   string
	}{
		{hasNoStore, "no-store", !c.any(hasMustUnderstand), "it must not be stored (RFC 9111 section 5.2.2.5)"},
		{hasPrivate, "private", true, "it must not be stored by a cache that many share (RFC 9111 section 5.2.2.7)"},
		{hasNoCache, "no-cache", true, "it may be stored, but not used without asking the origin each time (RFC 9111 section 5.2.2.4)"},
		{hasMustUnderstand, "must-understand", true, "it may be stored if the status is understood, no-store notwithstanding (RFC 9111 section 5.2.2.3)"},
		{hasSMaxAge, delta("s-maxage", c.sMaxAge), e.Source == LifetimeSMaxAge, "the lifetime for shared caches (RFC 9111 section 5.2.2.10); not served stale after it"},
		{hasMaxAge, delta("max-age", c.maxAge), e.Source == LifetimeMaxAge, "the lifetime (RFC 9111 section 5.2.2.1)"},
		{hasPublic, "public", true, "it may be stored, also where its status or Authorization would forbid it (RFC 9111 section 5.2.2.9)"},
		{hasMustRevalidate, "must-revalidate", true, "it may not be served stale (RFC 9111 section 5.2.2.2)"},
		{hasProxyRevalidate, "proxy-revalidate", true, "it may not be served stale by a shared cache (RFC 9111 section 5.2.2.8)"},
		{hasStaleRevalid, delta("stale-while-revalidate", c.staleRevalid), e.StaleRevalid == c.staleRevalid, "served that long after its lifetime while it is refreshed (RFC 5861 section 3)"},
		{hasStaleError, delta("stale-if-error", c.staleError), e.StaleError == c.staleError || e.StaleError == noStaleError && c.staleError == 0, "served that long after its lifetime while the origin fails (RFC 5861 section 4)"},
		{hasImmutable, "immutable", true, "a client's reload does not reach the origin while it is fresh (RFC 8246)"},
		{hasNoTransform, "no-transform", true, "its coding is left as it is (RFC 9111 section 5.2.2.6)"},
	} {
		if !c.any(d.flag) {
			continue
		}
		if !d.counts {
			d.says = "outdone by " + e.outdone(d.flag)
		}
		e.add(c.field, d.text, d.counts, d.says)
	}
	if len(c.private) > 0 {
		e.add(c.field, "private="+strings.Join(c.private, ", "), true, "these fields are not stored, the rest is (RFC 9111 section 5.2.2.7)")
	}
	if len(c.noCache) > 0 {
		e.add(c.field, "no-cache="+strings.Join(c.noCache, ", "), true, "these fields are not stored, the rest is (RFC 9111 section 5.2.2.4)")
	}
	e.unknown()
}

func delta(name string, d time.Duration) string {
	return name + "=" + strconv.FormatInt(int64(d/time.Second), 10)
}

// short is d without the units that are zero: 1m, not 1m0s.
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

// outdone names what goes before a directive that does not count.
func (e *ruling) outdone(flag directives) string {
	switch flag {
	case hasNoStore:
		return "must-understand (RFC 9111 section 5.2.2.3)"
	case hasMaxAge:
		return "s-maxage (RFC 9111 section 5.2.2.10)"
	}
	return "must-revalidate, proxy-revalidate or no-cache (RFC 9111 section 4.2.4)"
}

// unknown lists the directives of Cache-Control that nothing here understands.
func (e *ruling) unknown() {
	if e.c.field != "Cache-Control" {
		return
	}
	for _, line := range e.a.Header["Cache-Control"] {
		for line != "" {
			var d directive
			if d, line = nextDirective(line); d.name != "" && named(d.name) == 0 {
				e.add("Cache-Control", d.name, false, "not known here and ignored (RFC 9111 section 5.2.3)")
			}
		}
	}
}

// fields explains the fields beside Cache-Control.
func (e *ruling) fields() {
	h := e.a.Header
	if lines := h["Expires"]; len(lines) > 0 && !e.rules.IgnoreOrigin {
		says := "the lifetime: its distance from Date (RFC 9111 section 5.3)"
		if e.Source != LifetimeExpires {
			says = "outdone by a directive, or by a field that is meant for this cache (RFC 9111 section 5.3)"
		}
		e.add("Expires", lines[0], e.Source == LifetimeExpires, says)
	}
	if lines := h["Age"]; len(lines) > 0 {
		e.add("Age", lines[0], !e.rules.IgnoreOrigin, "so much of its lifetime is over when it comes (RFC 9111 section 4.2.3)")
	}
	e.cookies()
	if len(e.q.Header["Authorization"]) > 0 {
		e.authorization()
	}
	if lines := h["Vary"]; len(lines) > 0 {
		e.vary(lines)
	}
}

func (e *ruling) cookies() {
	if len(e.a.Header["Set-Cookie"]) == 0 && len(e.a.Header["Set-Cookie2"]) == 0 {
		return
	}
	switch {
	case e.rules.refusesCookies(e.a.Header, e.c):
		e.add("Set-Cookie", "", true, "a cookie is made for one client: the response is not stored (cache.set_cookie: pass)")
	case e.rules.SetCookie == SetCookieStrip:
		e.add("Set-Cookie", "", true, "taken out of what is stored and sent (cache.set_cookie: strip)")
	case e.rules.SetCookie == SetCookieStore:
		e.add("Set-Cookie", "", true, "stored and sent to all (cache.set_cookie: store)")
	default:
		e.add("Set-Cookie", "", false, "a directive names it, so it is not stored (RFC 9111 sections 5.2.2.4 and 5.2.2.7)")
	}
}

func (e *ruling) authorization() {
	switch {
	case e.rules.Authorization == AuthorizationKey:
		e.add("Authorization", "", true, "part of the key: each value has its own objects (cache.authorization: key)")
	case e.rules.Authorization == AuthorizationNever:
		e.add("Authorization", "", true, "the request keeps away from the cache (cache.authorization: never)")
	case e.rules.mayShare(e.q, e.c):
		e.add("Authorization", "", true, "public, s-maxage or must-revalidate allows to store it all the same (RFC 9111 section 3.5)")
	default:
		e.add("Authorization", "", true, "without public, s-maxage or must-revalidate the response is for this client alone (RFC 9111 section 3.5)")
	}
}

func (e *ruling) vary(lines []string) {
	text := strings.Join(lines, ", ")
	names, ok := e.rules.varyNames(lines)
	switch {
	case !ok:
		e.add("Vary", text, true, "no other request can be known to match: it is not stored (RFC 9111 section 4.1)")
	case len(names) == 0:
		e.add("Vary", text, false, "Host is in the key, and codings are held side by side: it splits nothing")
	default:
		e.add("Vary", text, true, "one variant for each value of "+strings.Join(names, ", ")+" (RFC 9111 section 4.1)")
	}
}

// life says where the lifetime comes from if no directive says so, and what the rules make of it.
func (e *ruling) life() {
	r := e.rules
	switch e.Source {
	case LifetimeStatus:
		e.add(fromRules, fmt.Sprintf("ttl.status[%d]=%s", e.a.Status, short(e.Named)), true, "the lifetime: the origin names none")
	case LifetimeDefault:
		e.add(fromRules, fmt.Sprintf("ttl.default=%s", short(e.Named)), true, "the lifetime: the origin names none")
	case LifetimeGuess:
		e.add("Last-Modified", e.a.Header.Get("Last-Modified"), true, "the lifetime: a tenth of its age when it was sent, a day at most (RFC 9111 section 4.2.2)")
	case LifetimeNone:
		e.add(fromRules, "", false, e.noLifetime())
	}
	if e.Source.explicit() && r.TTLMin > e.Named {
		e.add(fromRules, fmt.Sprintf("ttl.min=%s", short(r.TTLMin)), true, "lifts the lifetime that the origin names")
	}
	if r.TTLMax > 0 && max(e.Named, r.TTLMin) > r.TTLMax && e.Lifetime == r.TTLMax {
		e.add(fromRules, fmt.Sprintf("ttl.max=%s", short(r.TTLMax)), true, "cuts the lifetime")
	}
	if r.TTLJitter > 0 && e.Lifetime >= time.Second {
		e.add(fromRules, fmt.Sprintf("ttl.jitter=%.0f%%", 100*r.TTLJitter), true, "up to so much is taken off the lifetime at random")
	}
	if e.StaleRevalid > 0 && !e.c.any(hasStaleRevalid) {
		e.add(fromRules, fmt.Sprintf("stale_while_revalidate=%s", short(e.StaleRevalid)), true, "the origin says nothing of it")
	}
	if e.StaleError > 0 && !e.c.any(hasStaleError) {
		e.add(fromRules, fmt.Sprintf("stale_if_error=%s", short(e.StaleError)), true, "the origin says nothing of it")
	}
}

// noLifetime says why nobody names one.
func (e *ruling) noLifetime() string {
	switch {
	case !slices.Contains(heuristic, e.a.Status) && !e.c.any(hasPublic):
		return fmt.Sprintf("the origin names no lifetime, and %d is no status for which one may be assumed (RFC 9110 section 15.1); ttl.status could name one", e.a.Status)
	case e.rules.IgnoreOrigin:
		return "ignore_origin, and neither ttl.default nor ttl.status names a lifetime"
	}
	return "the origin names no lifetime, ttl.default is 0, and there is no Last-Modified to guess by (RFC 9111 section 4.2.2)"
}

// ExplainRequest lists what the request's own directives ask of caches (RFC 9111 section 5.2.1).
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
		{hasNoStore, "no-store", "nothing of this exchange is stored, nor answered from the store"},
		{hasNoCache, "no-cache", "what is stored is validated with the origin first"},
		{hasMaxAge, delta("max-age", cc.maxAge), "nothing older than this is taken"},
		{hasMinFresh, delta("min-fresh", cc.minFresh), "what is taken has to stay fresh that long"},
		{hasMaxStale, maxStaleText(cc.maxStale), "what is stale is taken, up to that long"},
		{hasStaleError, delta("stale-if-error", cc.staleError), "if the origin fails, what is stale is taken, up to that long"},
		{hasOnlyIfCached, "only-if-cached", "504 rather than a call to the origin"},
	} {
		if !cc.any(d.flag) {
			continue
		}
		g := Ground{source, d.text, !r.IgnoreClient, d.says}
		if r.IgnoreClient {
			g.Says = "not heard (cache.client_directives: ignore)"
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

// ExplainCacheControl says by which rule ApplyCacheControl goes for a response, and whether it changes anything: h is the header before.
func (r *Rules) ExplainCacheControl(q *Request, status int, h http.Header) (rule int, changes bool) {
	rule = r.MatchCacheControl(q, status, h)
	if rule < 0 {
		return rule, false
	}
	return rule, r.CacheControl[rule].Override || len(h["Cache-Control"]) == 0 && len(h["Expires"]) == 0
}
