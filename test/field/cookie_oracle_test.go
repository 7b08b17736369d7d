package field

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// sharingRoute is a route of the property test: its settings as the configuration has them, and as the oracle understands them.
type sharingRoute struct {
	kind    string // plain, pages or aggregate
	cookies string // explicit, ignore or bypass
	rule    string // the Cache-Control of a cache_control rule for status 200; "": there is no rule
	// override is set if the rule replaces the origin's own fields.
	override                       bool
	ignoreTheme, keySession        bool
	storesCookies, dropsCookies    bool // set_cookie
	ignoreOrigin                   bool
	ttlDefault, ttlMin, ttlStatus  bool // what gives a lifetime where the origin names none
	swr, sie, ttlMax, early, small string
}

// drawRoute draws the settings of a route. Left to chance alone, most routes would share nothing.
func drawRoute(t *rapid.T, kind string) sharingRoute {
	flag := func(name string, one int) bool { return rapid.IntRange(1, one).Draw(t, name) == 1 }
	r := sharingRoute{
		kind: kind, cookies: rapid.SampledFrom([]string{"explicit", "explicit", "explicit", "explicit", "explicit", "ignore", "bypass"}).Draw(t, "cookies"),
		ttlDefault: flag("ttl.default", 2), ttlMin: flag("ttl.min", 4), ttlStatus: flag("ttl.status", 4), ignoreTheme: flag("ignore_cookies", 4),
		keySession: flag("key.cookies", 6), ignoreOrigin: flag("ignore_origin", 8),
		swr: rapid.SampledFrom([]string{"0s", "30s", "30s"}).Draw(t, "stale_while_revalidate"), sie: rapid.SampledFrom([]string{"0s", "10m", "10m"}).Draw(t, "stale_if_error"),
		ttlMax: rapid.SampledFrom([]string{"", "", "20s"}).Draw(t, "ttl.max"), early: rapid.SampledFrom([]string{"", "2"}).Draw(t, "early_refresh"),
		small: rapid.SampledFrom([]string{"", "", "500B"}).Draw(t, "compress"),
	}
	switch rapid.IntRange(0, 7).Draw(t, "set_cookie") {
	case 0:
		r.storesCookies = true
	case 1:
		r.dropsCookies = true
	}
	if !r.ignoreOrigin && flag("cache_control", 5) {
		r.rule = rapid.SampledFrom([]string{"public, max-age=40", "max-age=40", "no-cache", "max-age=0", "private"}).Draw(t, "rule")
		r.override = flag("override", 2)
	}
	r.ignoreTheme = r.ignoreTheme && r.cookies != "ignore"
	return r
}

// yaml is the route's text. Names of routes are part of keys, so each case has its own.
func (r *sharingRoute) yaml(name string) string {
	ttl := []string{"jitter: 5%"}
	add := func(to *[]string, is bool, text string) {
		if is {
			*to = append(*to, text)
		}
	}
	add(&ttl, r.ttlDefault, "default: 40s")
	add(&ttl, r.ttlMin && r.ttlMax == "", "min: 30s")
	add(&ttl, r.ttlStatus, "status: {200: 40s, 404: 30s, 503: 5s}")
	add(&ttl, r.ttlMax != "", "max: "+r.ttlMax)
	cache := []string{"enabled: true", "cookies: " + r.cookies, "stale_while_revalidate: " + r.swr, "stale_if_error: " + r.sie, "ttl: {" + strings.Join(ttl, ", ") + "}"}
	add(&cache, r.ignoreTheme, "ignore_cookies: [theme]")
	add(&cache, r.keySession, "key: {cookies: [session]}")
	add(&cache, r.ignoreOrigin, "ignore_origin: true")
	add(&cache, r.storesCookies, "set_cookie: store")
	add(&cache, r.dropsCookies, "set_cookie: strip")
	add(&cache, r.early != "", "early_refresh: "+r.early)
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: %s\n    cache: {%s}\n", name, strings.Join(cache, ", "))
	if r.rule != "" {
		mode := "absent"
		if r.override {
			mode = "override"
		}
		fmt.Fprintf(&b, "    cache_control: [{when: {status: [200]}, set: %q, mode: %s}]\n", r.rule, mode)
	}
	if r.small != "" {
		fmt.Fprintf(&b, "    compress: {min_size: %s}\n", r.small)
	}
	switch r.kind {
	case "aggregate":
		b.WriteString("    match: {path: /*, methods: [GET, HEAD]}\n    aggregate: {parts: {own: {upstream: origin, path: \"/{*}?part=own\", headers: [Cookie], ttl: 20s, on_error: stale}, " +
			"all: {upstream: origin, path: \"/{*}?part=all\", on_error: \"null\"}}}\n")
	case "pages":
		b.WriteString("    match: {path: /*}\n    upstream: origin\n    paginate: {cursor: {param: cursor, next: next}, link_header: true, prefetch: 1}\n")
	default:
		b.WriteString("    match: {path: /*}\n    upstream: origin\n")
	}
	return b.String()
}

// page is one response of the origin: the cookies of the request that it was made for, and its own fields.
type page struct {
	cookie  string
	part    string // of an aggregate: own or all
	status  int
	header  http.Header
	created time.Time
	// path and tag are those by which a later 304, or the answer to a HEAD, confirms it. confirmed are its fields as such answers have made them.
	path, tag string
	confirmed []http.Header
}

// confirm takes note of the fields of a 304, or of the answer to a HEAD, which take the place of those of the page (RFC 9111 section 3.2).
func (p *page) confirm(update http.Header) {
	h := p.header.Clone()
	maps.Copy(h, update.Clone())
	p.confirmed = append(p.confirmed, h)
}

// mayReach says why p must not reach a client with the given cookies, whichever of the fields count that the origin has given it; "": it may.
func (p *page) mayReach(cookie, field string, routes []sharingRoute) string {
	why := p.refuses(cookie, field, routes)
	for _, h := range p.confirmed {
		again := *p
		if again.header = h; again.refuses(cookie, field, routes) == "" {
			return ""
		}
	}
	return why
}

// brokenTarget is no Structured Field.
const brokenTarget = "(broken"

// counted are the cookies that make a user: an ignored cookie is none.
func (r *sharingRoute) counted(cookie string) string {
	if !r.ignoreTheme {
		return cookie
	}
	var kept []string
	for pair := range strings.SplitSeq(cookie, "; ") {
		if !strings.HasPrefix(pair, "theme=") {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "; ")
}

// session is the value of the cookie of that name.
func session(cookie string) string {
	for pair := range strings.SplitSeq(cookie, "; ") {
		if value, ok := strings.CutPrefix(pair, "session="); ok {
			return value
		}
	}
	return ""
}

// refuses says why p must not reach a client with the given cookies; "": it may. routes are those under which p may have been stored; the
// last is the one in force. field is the field by which p was recognised; "": its content.
func (p *page) refuses(cookie, field string, routes []sharingRoute) string {
	r := &routes[len(routes)-1]
	if p.part == "all" && p.cookie == "" {
		return "" // no cookie has reached the origin, so it can have made no difference
	}
	mine, owner := r.counted(cookie), r.counted(p.cookie)
	switch vary := strings.Join(p.header["Vary"], ","); {
	case p.cookie == cookie, mine == owner && !strings.Contains(vary, "Cookie"):
		return ""
	case strings.Contains(vary, "Cookie") || vary == "*":
		return "Vary keeps users apart"
	case r.keySession && session(cookie) != session(p.cookie) && r.kind != "aggregate":
		return "key.cookies keeps users apart"
	case field != "" && p.qualifies(field, r):
		return "a qualified directive names " + field
	case field == "Set-Cookie" && !r.storesCookies:
		return "a cookie is for the client that it was made for"
	case r.cookies == "ignore":
		if p.withheld(r) {
			return "the origin withholds it from caches"
		}
		return ""
	case r.cookies == "bypass":
		return "cookies: bypass"
	case !p.declared(routes):
		return "it is not declared reusable"
	}
	return ""
}

// control are the directives of the field that rules the response: the route's rule, the targeted field, or Cache-Control. targeted is set
// for the second, beside which Expires does not count.
func (p *page) control(r *sharingRoute) (directives map[string]string, targeted, expires bool) {
	line, expires := strings.Join(p.header["Cache-Control"], ", "), len(p.header["Expires"]) > 0
	target := strings.Join(p.header["Cdn-Cache-Control"], ", ")
	if target == brokenTarget {
		target = "" // RFC 9213 section 2.1
	}
	if r.rule != "" && p.status == http.StatusOK && (r.override || line == "" && !expires) {
		if line, expires = r.rule, false; r.override {
			target = ""
		}
	}
	if target != "" {
		line, expires = target, false
	}
	directives = map[string]string{}
	for line != "" {
		var d string
		if d, line, _ = cutDirective(line); d != "" {
			name, value, _ := strings.Cut(d, "=")
			directives[strings.ToLower(name)] = value
		}
	}
	return directives, target != "", expires
}

// cutDirective cuts at the first comma outside quotes.
func cutDirective(line string) (d, rest string, found bool) {
	quoted := false
	for i := range len(line) {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ',' && !quoted:
			return strings.TrimSpace(line[:i]), line[i+1:], true
		}
	}
	return strings.TrimSpace(line), "", false
}

// has reports whether the directive is there without naming fields.
func has(directives map[string]string, name string) bool {
	value, ok := directives[name]
	return ok && !strings.HasPrefix(value, `"`)
}

// qualifies reports whether private or no-cache names the field.
func (p *page) qualifies(field string, r *sharingRoute) bool {
	if r.ignoreOrigin {
		return false
	}
	d, _, _ := p.control(r)
	return strings.Contains(d["private"]+d["no-cache"], field)
}

// withheld reports whether caches must not give it to others, whatever the route says of cookies.
func (p *page) withheld(r *sharingRoute) bool {
	if r.ignoreOrigin {
		return false
	}
	d, _, _ := p.control(r)
	return has(d, "private") || has(d, "no-store")
}

// declared is the rule for sharing: the origin, or a cache_control rule, has given the response a lifetime above zero, or calls it public
// while something else gives it a lifetime (RFC 9111 sections 4.2.1, 5.2.2.9, 5.2.2.10, 5.3; RFC 9213). no-cache, private and no-store take
// that back. An aggregate's part that was asked for with cookies must be called public. Of a route that was reloaded, any of the lifetimes may count.
func (p *page) declared(routes []sharingRoute) bool {
	r := &routes[len(routes)-1]
	if r.rule != "" && r.kind == "aggregate" && r.override {
		return true // the rule speaks for the whole
	}
	for i := range routes[:len(routes)-1] { // what the origin has declared may stand in while it fails, also under a rule that forbids it now
		if own := routes[i]; own.rule == "" && p.declared([]sharingRoute{own}) {
			return true
		}
	}
	if r.ignoreOrigin {
		return false
	}
	d, _, expires := p.control(r)
	if has(d, "no-cache") || has(d, "private") || has(d, "no-store") {
		return false
	}
	_, public := d["public"]
	if r.kind == "aggregate" {
		return public || strings.Contains(strings.ToLower(p.header.Get("Cache-Control")), "public") // also beside a targeted field
	}
	if public && p.elsewhere(routes) {
		return true
	}
	if v, ok := d["s-maxage"]; ok {
		return above(v)
	}
	if v, ok := d["max-age"]; ok {
		return above(v)
	}
	if !expires {
		return false
	}
	until, err := http.ParseTime(p.header.Get("Expires"))
	return err == nil && until.After(p.created)
}

// above reports whether the argument is a number of seconds above zero.
func above(value string) bool {
	var n int
	if _, err := fmt.Sscanf(value, "%d", &n); err != nil {
		return false
	}
	return n > 0
}

// elsewhere reports whether something beside the origin's explicit lifetime gives the response one: a route's setting, or Last-Modified.
func (p *page) elsewhere(routes []sharingRoute) bool {
	for _, r := range routes {
		if r.ttlDefault || r.ttlMin || r.ttlStatus {
			return true
		}
	}
	return p.header.Get("Last-Modified") != ""
}
