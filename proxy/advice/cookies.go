package advice

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock/penstock/proxy/observe"
)

// Bounds on the cookies that are recorded for a route. Only hashes of their values are kept.
const (
	cookieURLs  = 16 // of a route; the first ones seen
	cookieUsers = 4  // Cookie fields of a URL; the most recent ones
	cookieNames = 16 // of a route
	userCookies = 8  // of a Cookie field
	cookieBytes = 4 << 10
)

// cookieEvidence shows whether a URL's responses depend on cookies that are not in the key. It
// compares only responses that the origin made for the request itself: a hit is the same for all
// cookies, whatever the origin would have sent.
type cookieEvidence struct {
	urls  map[uint64]*cookieURL
	names map[string]*cookieName

	same, differ     uint64 // pairs of responses for one URL and two Cookie fields, by whether their contents were equal
	steady, unsteady uint64 // pairs of responses for one URL and one Cookie field, by whether their contents were equal
	differing        uint64 // URLs with different responses
}

type cookieURL struct {
	users   [cookieUsers]cookieUser // the most recent first
	n       int
	differs bool
}

// cookieUser is the content that the origin sent for a Cookie field. An absent field counts as a
// field.
type cookieUser struct {
	field, content uint64
	values         map[string]uint64
}

// cookieName counts the pairs with different values of one cookie, by whether their contents were
// equal.
type cookieName struct{ same, differ uint64 }

// origins reports whether the origin made the response for this very request, and the response does
// not separate cookies by Vary.
func origins(e *observe.Event) bool {
	switch e.Cache {
	case "", observe.CacheMiss, observe.CachePass, observe.CacheNone:
		return e.Status == http.StatusOK && !e.Hit && !e.Collapsed && !e.CookieVary
	}
	return false
}

// note compares a response with earlier ones for the same URL. Here the URL includes the request
// fields for negotiation and credentials.
func (c *cookieEvidence) note(e *observe.Event, r *http.Request) {
	lines := r.Header["Cookie"]
	field := strings.Join(lines, ";")
	if !origins(e) || len(field) > cookieBytes || r.Header.Get("Range") != "" {
		return
	}
	url := hash(hash(e.Key, r.Host), r.URL.Path+"?"+r.URL.RawQuery)
	for _, name := range []string{"Authorization", "Accept", "Accept-Language", "Accept-Encoding"} {
		url = hash(url, r.Header.Get(name))
	}
	u := c.urls[url]
	if u == nil {
		if len(c.urls) >= cookieURLs {
			return
		}
		u = new(cookieURL)
		c.urls[url] = u
	}
	user := cookieUser{field: hash(3, field), content: hash(hash(uint64(e.BytesOut), e.ETag), e.ContentType), values: make(map[string]uint64)}
	for pair := range strings.SplitSeq(field, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if name != "" && len(name) <= maxNames && len(user.values) < userCookies {
			user.values[name] = hash(4, value)
		}
	}
	for i := range u.n {
		c.compare(u, &u.users[i], &user)
	}
	u.keep(user)
}

// keep puts user first. It replaces the response for the same field, or else the oldest.
func (u *cookieURL) keep(user cookieUser) {
	at := slices.IndexFunc(u.users[:u.n], func(old cookieUser) bool { return old.field == user.field })
	if at < 0 {
		u.n = min(u.n+1, cookieUsers)
		at = u.n - 1
	}
	copy(u.users[1:at+1], u.users[:at])
	u.users[0] = user
}

func (c *cookieEvidence) compare(u *cookieURL, a, b *cookieUser) {
	alike := a.content == b.content
	switch {
	case a.field == b.field && alike:
		c.steady++
		return
	case a.field == b.field:
		c.unsteady++
		return
	case alike:
		c.same++
	default:
		c.differ++
		if !u.differs {
			u.differs = true
			c.differing++
		}
	}
	for name, value := range b.values {
		if a.values[name] != value {
			c.named(name, alike)
		}
	}
	for name := range a.values {
		if _, ok := b.values[name]; !ok {
			c.named(name, alike)
		}
	}
}

// named counts a pair with different values of a cookie.
func (c *cookieEvidence) named(name string, alike bool) {
	n := c.names[name]
	if n == nil {
		if len(c.names) >= cookieNames {
			return
		}
		n = new(cookieName)
		c.names[name] = n
	}
	if alike {
		n.same++
	} else {
		n.differ++
	}
}

// CookieEvidence is the evidence on the cookies of a route.
type CookieEvidence struct {
	Same, Differ     uint64   // pairs of responses for one URL and different cookies
	Steady, Unsteady uint64   // pairs of responses for one URL and the same cookies
	URLs             uint64   // URLs with different responses
	Names            []string // the cookies on which the responses may depend
}

func (c *cookieEvidence) read() CookieEvidence {
	out := CookieEvidence{Same: c.same, Differ: c.differ, Steady: c.steady, Unsteady: c.unsteady, URLs: c.differing}
	for _, name := range slices.Sorted(maps.Keys(c.names)) {
		if n := c.names[name]; n.differ >= leastPairs && n.differ > 9*n.same && !isTracker(name) && isToken(name) {
			out.Names = append(out.Names, name)
		}
	}
	return out
}

// isToken reports whether a cookie's name needs no quoting in a configuration.
func isToken(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	})
}

// leastPairs is the number of pairs that must differ, and the number of pairs with the same cookies
// that must be equal, before cookies are considered the reason.
const leastPairs = 5

// personal reports whether a route's responses depend on cookies that are not in its key. Content
// that also changes for the same cookies is no evidence.
func (r *RouteEvidence) personal() bool {
	c := &r.Cookies
	return c.Differ >= leastPairs && c.Steady >= leastPairs && c.Unsteady*10 <= c.Steady
}

// cookies warns of responses that depend on cookies outside the key.
func (a *adviser) cookies(r *RouteEvidence) {
	if !r.personal() || r.CookieMode == "bypass" {
		return
	}
	c := &r.Cookies
	evidence := []string{
		fmt.Sprintf("%d of %d pairs of origin responses for one URL and different cookies differ, at %d URLs", c.Differ, c.Differ+c.Same, c.URLs),
		fmt.Sprintf("%d of %d pairs for one URL and the same cookies are equal", c.Steady, c.Steady+c.Unsteady),
	}
	var settings []Setting
	if !r.Cached {
		settings = append(settings, Setting{"cache.enabled", "true"})
	}
	if len(c.Names) > 0 {
		evidence = append(evidence, "the differences match the values of: "+strings.Join(c.Names, ", "))
		known := strings.Fields(r.KeyCookies)
		for _, name := range c.Names {
			if !slices.Contains(known, name) {
				known = append(known, name)
			}
		}
		settings = append(settings, Setting{"cache.key.cookies", "[" + strings.Join(quoted(known), ", ") + "]"})
	} else {
		settings = append(settings, Setting{"cache.cookies", "bypass"})
	}
	text, weight := "its responses depend on cookies that are not in the key", float64(a.totals[r.Name].requests)
	switch {
	case !r.Cached:
		text += ": do not give it a cache that all users share"
	case r.CookieMode == "ignore":
		text += ", and cookies: ignore serves one user's response to the next"
		weight = mostUrgent
	case r.Ruled:
		text += ", and its cache_control rule declares them reusable for all users"
		weight = mostUrgent
	default:
		text += ": put the cookies that select the response into the key"
	}
	a.add(weight, Advice{
		Kind: "cookies", Subject: routeName(r), Advice: text, Evidence: evidence, Where: inRoute(r), YAML: YAML(settings...),
		Caution: "name every cookie on which the origin's response depends; if you are not sure, write cache.cookies: bypass instead. cache.cookies: explicit shares only " +
			"responses that the origin, or a cache_control rule, declares reusable",
	})
}

// mostUrgent is the weight of advice that precedes all advice on gains.
const mostUrgent = 1e18

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = fmt.Sprintf("%q", name)
	}
	return out
}
