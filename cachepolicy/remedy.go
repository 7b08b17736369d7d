package cachepolicy

import (
	"math"
	"net/http"
	"slices"
	"time"
)

// Fix is a change that removes one obstacle to caching.
type Fix uint8

const (
	FixNone            Fix = iota // no change helps
	FixEnable                     // enable the route's cache
	FixBody                       // let the client send its GET without content
	FixUpgrade                    // let the client not ask for another protocol
	FixKeyAuth                    // make Authorization part of the key
	FixIgnoreAsk                  // ignore the client's cache directives
	FixCookie                     // remove Set-Cookie from the stored response
	FixKeyCookies                 // make cookies of the request part of the key
	FixKeyHeaders                 // make fields that identify the user part of the key
	FixIgnoreCookies              // ignore some cookies of the request
	FixCookiesIgnore              // ignore all cookies
	FixCookiesExplicit            // let requests with cookies share responses that are declared reusable
	FixVary                       // remove Vary from the response
	FixTTLDefault                 // set a lifetime for responses without one
	FixTTLStatus                  // set a lifetime for the status
	FixTTLMin                     // raise the origin's lifetime
	FixOverride                   // replace the origin's Cache-Control
	FixIgnoreSays                 // use only the rules' lifetimes
	fixEnd
)

// suggestedTTL is the lifetime that remedies try, bounded by the rules' maximum.
const suggestedTTL = time.Minute

// Remedy is an obstacle to answering requests like q from the cache, with the change that removes
// it.
type Remedy struct {
	Reason Reason
	Fix    Fix
	TTL    time.Duration // for fixes that set a lifetime
	// Cookies are the names of the obstructing cookies, or of the obstructing fields if Fix is
	// FixKeyHeaders. FixKeyCookies, FixKeyHeaders and FixIgnoreCookies add them to the rules' own.
	Cookies []string
}

// Remedies returns the changes that are needed for the cache to store the answer a to a GET like q,
// and to serve it fresh to the next equal request. It lists the obstacles in the order in which a
// request meets them. Key, Settle and Decide themselves find each one, after the changes for the
// earlier ones were made. whole is false if no change removes the last obstacle. If the list is
// empty and whole is true, the response is cacheable without a change.
func (r *Rules) Remedies(q *Request, a *Answer) (list []Remedy, whole bool) {
	rules, asked, answer := *r, *q, *a
	if asked.Method == http.MethodHead {
		asked.Method = http.MethodGet // a stored GET response answers HEAD
	}
	asked.Header, answer.Header, answer.Stored = q.Header.Clone(), a.Header.Clone(), nil
	t := trial{&rules, &asked, &answer}
	for range int(fixEnd) {
		why := t.obstacle()
		if why == ReasonNone {
			return list, true
		}
		fix, cookies := t.fix(why), []string(nil)
		if why == ReasonCookie {
			fix, cookies = t.fixCookies()
		}
		list = append(list, Remedy{Reason: why, Fix: fix, TTL: r.bound(suggestedTTL), Cookies: cookies})
		if fix == FixNone {
			return list, false
		}
		t.apply(fix, cookies)
		if t.obstacle() == why && (why != ReasonCookie || len(list) == int(fixEnd)) {
			list[len(list)-1].Fix = FixNone
			return list, false
		}
	}
	return list, t.obstacle() == ReasonNone
}

// Obstacle returns the first obstacle, other than Enabled, to answering the next request like q,
// answered with a, from the cache.
func (r *Rules) Obstacle(q *Request, a *Answer) Reason {
	rules, answer := *r, *a
	rules.Enabled = true
	answer.Header, answer.Stored = a.Header.Clone(), nil
	return (&trial{&rules, q, &answer}).obstacle()
}

// trial is a request and its answer under some rules. A remedy may change all three.
type trial struct {
	rules *Rules
	q     *Request
	a     *Answer
}

// obstacle returns the reason why the cache would not answer the next equal request, or ReasonNone.
func (t *trial) obstacle() Reason {
	if !t.rules.Enabled {
		return ReasonDisabled
	}
	if _, why := t.rules.Key(t.q); why != ReasonNone {
		return why
	}
	if t.a.Failure != FailureNone {
		return failureReason(t.a.Failure)
	}
	t.rules.ApplyCacheControl(t.q, t.a.Status, t.a.Header)
	now := t.a.Received
	v := t.rules.Settle(t.q, nil, t.a, now, 0)
	if v.Effect != Store {
		return v.Reason
	}
	d := t.rules.Decide(t.q, &v.Meta, now, 0)
	switch d.Reason {
	case ReasonNone, ReasonEarlyRefresh:
		return ReasonNone
	case ReasonStaleWhileRevalidate, ReasonMaxStale:
		return ReasonStale // it is served, but never fresh
	}
	return d.Reason
}

// fix returns the change that removes an obstacle.
func (t *trial) fix(why Reason) Fix {
	switch why {
	case ReasonDisabled:
		return FixEnable
	case ReasonBody:
		return FixBody
	case ReasonUpgrade:
		return FixUpgrade
	case ReasonAuthorization:
		return FixKeyAuth
	case ReasonRequestNoStore, ReasonRequestNoCache, ReasonRequestMaxAge, ReasonRequestMinFresh, ReasonOnlyIfCached:
		return FixIgnoreAsk
	case ReasonSetCookie:
		return FixCookie
	case ReasonCookieBypass:
		return FixCookiesExplicit
	case ReasonVaryAny:
		return FixVary
	case ReasonStatus, ReasonErrorStatus:
		return FixTTLStatus
	case ReasonNoStore, ReasonPrivate, ReasonNotUnderstood, ReasonNoCache:
		return FixOverride
	case ReasonNoFreshness, ReasonStale:
		return t.fixLifetime()
	}
	return FixNone
}

// measuring lists cookies of visitor counters and consent banners. Origins do not choose content by
// them.
var measuring = []string{
	"_ga*", "_gid", "_gat*", "_gcl_*", "_fbp", "_fbc", "_hj*", "_pk_*", "_uetsid", "_uetvid", "__utm*", "_clck", "_clsk", "ajs_*", "amplitude_*", "mp_*",
	"OptanonConsent", "CookieConsent", "__cf_bm", "_scid", "_ttp",
}

// fixCookies returns the change that removes the obstacle of the request's cookies, and the cookies
// that it concerns. It first puts the cookies that may choose the content into the key, which is
// right whatever they mean. Then it ignores the cookies that are known not to choose it.
func (t *trial) fixCookies() (Fix, []string) {
	if fields := t.rules.CountedIdentity(t.q); len(fields) > 0 {
		return FixKeyHeaders, fields
	}
	var keyed, ignored []string
	for _, name := range t.rules.CountedCookies(t.q) {
		_, known := matching(measuring, name)
		switch {
		case !isToken(name):
			return FixCookiesIgnore, []string{name} // a key can't name it
		case known && !slices.Contains(t.rules.IgnoreCookies, name):
			ignored = append(ignored, name)
		default:
			keyed = append(keyed, name)
		}
	}
	if len(keyed) > 0 {
		return FixKeyCookies, keyed
	}
	return FixIgnoreCookies, ignored
}

// fixLifetime returns the change that gives a response without remaining lifetime a lifetime.
func (t *trial) fixLifetime() Fix {
	c := t.rules.control(t.a.Header)
	d, by := t.rules.namedLifetime(t.a.Status, t.a.Header, &c, t.a.Received)
	switch {
	case initialAge(t.a) >= max(t.rules.bound(suggestedTTL), t.rules.TTLMin) && !t.rules.IgnoreOrigin:
		return FixIgnoreSays // its age on arrival exceeds any lifetime that the rules would give it
	case by.explicit():
		return FixTTLMin
	case by == LifetimeStatus && d <= 0, !mayGuess(t.a.Status, &c):
		return FixTTLStatus
	}
	return FixTTLDefault
}

// apply makes the change. With FixKeyCookies, FixKeyHeaders and FixIgnoreCookies, it concerns the
// given names.
func (t *trial) apply(fix Fix, cookies []string) {
	r := t.rules
	switch fix {
	case FixKeyCookies:
		r.KeyCookies = slices.Concat(r.KeyCookies, cookies)
	case FixKeyHeaders:
		r.KeyHeaders = slices.Concat(r.KeyHeaders, cookies)
	case FixIgnoreCookies:
		r.IgnoreCookies = slices.Concat(r.IgnoreCookies, cookies)
	case FixCookiesIgnore:
		r.Cookies = CookiesIgnore
	case FixCookiesExplicit:
		r.Cookies = CookiesExplicit
	case FixEnable:
		r.Enabled = true
	case FixBody:
		t.q.HasBody = false
	case FixUpgrade:
		delete(t.q.Header, "Upgrade")
	case FixKeyAuth:
		r.Authorization = AuthorizationKey
	case FixIgnoreAsk:
		r.IgnoreClient = true
	case FixCookie:
		r.SetCookie = SetCookieStrip
	case FixVary:
		delete(t.a.Header, "Vary")
	case FixTTLDefault:
		r.TTLDefault = r.bound(suggestedTTL)
	case FixTTLStatus:
		r.nameStatus(t.a.Status)
	case FixTTLMin:
		r.TTLMin = r.bound(suggestedTTL)
	case FixOverride:
		rule := CacheControlRule{Status: []int{t.a.Status}, Set: OverrideValue, Override: true}
		r.CacheControl = append([]CacheControlRule{rule}, r.CacheControl...)
	case FixIgnoreSays:
		r.IgnoreOrigin = true
		r.nameStatus(t.a.Status)
	}
}

// OverrideValue is the Cache-Control that FixOverride writes.
const OverrideValue = "public, max-age=60"

// nameStatus gives a status a lifetime. It replaces the map, so it does not change a map that r
// shares.
func (r *Rules) nameStatus(status int) {
	named := map[int]time.Duration{status: r.bound(suggestedTTL)}
	for s, d := range r.TTLStatus {
		if s != status {
			named[s] = d
		}
	}
	r.TTLStatus = named
}

// EarlyRefreshShare returns the share of requests for m that refresh it early if ttl of its
// lifetime is left.
func (r *Rules) EarlyRefreshShare(m *Meta, ttl time.Duration) float64 {
	if r.EarlyBeta <= 0 || m.FillTime <= 0 || !m.Complete() || ttl <= 0 {
		return 0
	}
	return math.Exp(-float64(ttl) / (float64(m.FillTime) * r.EarlyBeta))
}
