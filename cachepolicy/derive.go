package cachepolicy

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Part is one of the answers that another answer is made of.
type Part struct {
	Status   int
	Header   http.Header // as the cache gave it: with Age, rounded up
	Received time.Time
	// Fields are the request fields that it was asked with, in canonical form: on others it can't vary, whatever it says.
	Fields []string
	// Credentials is set when it was asked with Authorization or Cookie.
	Credentials bool
	// Retry is set for one that is missing from the whole, which then has no Header, or that stands in for a newer one: how long until that may be tried again. It
	// counts in the place of the lifetime.
	Retry time.Duration
}

// Derived is what the parts say of the answer that was made of them.
type Derived struct {
	CacheControl string // "" where the parts say nothing
	Age          time.Duration
	Vary         string // "" where it varies on nothing
}

// Derive says how an answer made of parts may be reused: not longer than the part that is stale first, by nobody whom one of the parts is not for, and
// never by a cache that one of them keeps away from. r are the rules of the whole: what a part says nothing about, they decide for it. RFC 9111 has no
// word on it; each directive is taken so that no part is reused in the whole where it could not be reused alone.
func (r *Rules) Derive(parts []Part) Derived {
	d := derivation{revalid: maxDelta, onError: maxDelta, left: maxDelta, shared: maxDelta, open: true}
	for i := range parts {
		d.add(r, &parts[i])
	}
	return Derived{CacheControl: d.cacheControl(), Age: d.age, Vary: d.varies()}
}

// derivation collects what parts say.
type derivation struct {
	has              directives
	left             time.Duration // freshness left for clients' own caches
	shared           time.Duration // for shared caches
	said             bool          // some part says how long it is fresh
	windows          bool          // some part says how long it may be served stale
	sMaxAge          bool
	open             bool // every part says that it may be shared even when it was asked with credentials
	credentials      bool // one was
	age              time.Duration
	revalid, onError time.Duration // from now on until a part may no longer be served stale
	vary             []string
	any              bool // Vary: *
}

func (d *derivation) add(r *Rules, p *Part) {
	if p.Retry > 0 {
		d.miss(r, p.Retry)
		if p.Header == nil {
			return
		}
	}
	c := r.control(p.Header)
	d.has |= c.has & (hasNoStore | hasMustRevalidate | hasProxyRevalidate)
	if c.any(hasNoStore) && c.any(hasMustUnderstand) {
		d.has |= hasNoStore // the whole has a status of its own: whether this one's was understood no longer shows
	}
	// What names fields restricts them alone (RFC 9111 §5.2.2.4, §5.2.2.7). Fields of a part do not reach the whole, but to tell which
	// of its content goes with them is not ours.
	if c.any(hasNoCache) || len(c.noCache) > 0 {
		d.has |= hasNoCache
	}
	mayShare := c.any(hasMustRevalidate | hasPublic | hasSMaxAge)
	d.open, d.credentials = d.open && (mayShare || !p.Credentials), d.credentials || p.Credentials
	if c.any(hasPrivate) || len(c.private) > 0 || p.Credentials && !mayShare || r.refusesCookies(p.Header, &c) {
		d.has |= hasPrivate // §3.5 for what was asked with credentials
	}
	d.life(r, p, &c)
	d.varyOn(p)
}

// miss takes up that a part is missing. Where the rules would keep the whole for longer than until the part may be tried again, it is not kept at all.
func (d *derivation) miss(r *Rules, retry time.Duration) {
	d.said = true
	d.left, d.shared = min(d.left, retry), min(d.shared, retry)
	d.revalid, d.onError = 0, 0
	if r.TTLMin > retry || r.IgnoreOrigin {
		d.has |= hasNoStore
	}
}

// life takes up how long the part is fresh, and in which windows it may be used after that.
func (d *derivation) life(r *Rules, p *Part, c *control) {
	age, known := ageValue(p.Header)
	d.age = max(d.age, age)
	lifetime, ok := explicitLifetime(p.Header, c, p.Received)
	switch {
	case p.Retry > 0:
		return
	case !known: // an age that can't be believed may be any
		lifetime, d.said = 0, true
	case ok:
		d.said = true
	case r.TTLDefault > 0:
		lifetime = r.TTLDefault
	default:
		if lifetime = guess(p.Header, p.Received); lifetime > 0 {
			d.said = true
		}
	}
	shared := lifetime - age
	d.shared = min(d.shared, shared)
	d.sMaxAge = d.sMaxAge || c.any(hasSMaxAge)
	if c.any(hasMaxAge) && known {
		lifetime = c.maxAge
	}
	d.left = min(d.left, lifetime-age)
	d.windows = d.windows || c.any(hasStaleRevalid|hasStaleError|hasSMaxAge)
	revalid, onError := r.windows(c)
	d.revalid = min(d.revalid, shared+revalid)
	if revalid == 0 {
		d.revalid = min(d.revalid, 0)
	}
	if d.onError = min(d.onError, shared+onError); onError <= 0 {
		d.onError = min(d.onError, 0)
	}
}

// varyOn takes up the fields that the part varies on, of those that it was asked with. Codings are not passed on: its content was decoded.
func (d *derivation) varyOn(p *Part) {
	for _, line := range p.Header["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(trimOWS(name))
			switch {
			case name == "*":
				d.any = true
			case name != "Accept-Encoding" && slices.Contains(p.Fields, name) && !slices.Contains(d.vary, name):
				d.vary = append(d.vary, name)
			}
		}
	}
}

func (d *derivation) varies() string {
	if d.any {
		return "*"
	}
	slices.Sort(d.vary)
	return strings.Join(d.vary, ", ")
}

// cacheControl writes what was collected. The age of the whole is that of its oldest part, so its lifetime begins as long ago.
func (d *derivation) cacheControl() string {
	if d.has&hasNoStore != 0 {
		return "no-store"
	}
	var b strings.Builder
	word := func(s string) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s)
	}
	seconds := func(name string, t time.Duration) { word(name + "=" + strconv.FormatInt(max(0, floorSeconds(t)), 10)) }
	if d.has&hasPrivate != 0 {
		word("private")
	}
	if d.has&hasNoCache != 0 {
		word("no-cache")
	}
	if d.credentials && d.open && d.has&hasPrivate == 0 {
		word("public")
	}
	if d.said {
		seconds("max-age", d.age+max(0, d.left))
		if d.sMaxAge && d.has&hasPrivate == 0 && d.shared != d.left {
			seconds("s-maxage", d.age+max(0, d.shared))
		}
	}
	if d.has&(hasMustRevalidate|hasProxyRevalidate) != 0 {
		word("must-revalidate")
	} else if d.said || d.windows {
		fresh := max(0, d.left, d.shared) // the windows begin behind it
		seconds("stale-while-revalidate", d.revalid-fresh)
		seconds("stale-if-error", d.onError-fresh)
	}
	return b.String()
}

// Guard keeps the answer to a request with cookies from others, where its origin does not say that it is for all: no RFC has a word for cookies
// like that of RFC 9111 §3.5 for Authorization, and an answer made for the owner of a cookie is as much that owner's. It adds to h, in place.
func Guard(request, h http.Header) {
	if len(request["Cookie"]) == 0 {
		return
	}
	c := parseCacheControl(h["Cache-Control"])
	if c.any(hasMustRevalidate | hasPublic | hasSMaxAge) {
		return
	}
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(trimOWS(name), "Cookie") {
				return
			}
		}
	}
	h["Cache-Control"] = append(slices.Clone(h["Cache-Control"]), "private")
	delete(h, "Cdn-Cache-Control")
}

// RetryAfter is how long an error answer says that it holds: by Retry-After (RFC 9110 §10.2.3), or as what is missing for now, with an explicit
// lifetime. It is false where the answer says nothing.
func RetryAfter(status int, h http.Header, now time.Time) (time.Duration, bool) {
	if lines := h["Retry-After"]; len(lines) == 1 {
		if d, ok := parseDelta(trimOWS(lines[0])); ok {
			return d, true
		}
		if t, ok := parseDate(lines[0], now); ok {
			return max(0, t.Sub(now)), true
		}
	}
	if status != http.StatusNotFound && status != http.StatusGone {
		return 0, false
	}
	c := control{cacheControl: parseCacheControl(h["Cache-Control"])}
	lifetime, ok := explicitLifetime(h, &c, now)
	age, known := ageValue(h)
	if !ok || !known || lifetime <= age {
		return 0, false
	}
	return lifetime - age, true
}

// IsPrivate reports whether a response is for one client alone, or for no cache.
func IsPrivate(h http.Header) bool {
	c := parseCacheControl(h["Cache-Control"])
	return c.any(hasPrivate | hasNoStore)
}
