package config

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cors refuses rules that browsers ignore, and rules that contradict others.
func (k checker) cors(r *Route, n *node) {
	at := n.get("cors")
	if !k.sound(at) || r.CORS == nil {
		return
	}
	k.corsOrigins(r.CORS, at.get("origins"))
	k.corsMethods(r, at, k.sound(n.get("match")))
	if age := r.CORS.MaxAge; age%time.Second != 0 {
		k.at(at.get("max_age"), problemf("browsers count in whole seconds").or("write %s", printDuration(age.Truncate(time.Second)+time.Second)))
	}
	k.corsFields(r, n.get("headers").get("response"))
}

// corsOrigins refuses credentials for all origins: each site could act in the name of its visitors.
// Browsers refuse that too (https://fetch.spec.whatwg.org/#cors-protocol-and-credentials).
func (k checker) corsOrigins(c *CORS, at *node) {
	any := slices.Index(c.Origins, "*")
	switch {
	case any < 0:
	case c.Credentials:
		k.at(item(at, any), problemf("* with credentials would let every site act in the name of its visitors, and browsers refuse it").or("name the origins, or leave credentials out"))
	case len(c.Origins) > 1:
		k.at(item(at, any), problemf("* allows all origins, so the others have no effect").or("leave out * or the others"))
	}
}

// corsMethods refuses methods with which no request reaches the route. In `defaults` they may be for
// another route.
func (k checker) corsMethods(r *Route, cors *node, matched bool) {
	at := cors.get("methods")
	for i, method := range r.CORS.Methods {
		switch {
		case matched && k.own(cors, "methods") && !allows(r.Match.Methods, method):
			k.at(item(at, i), problemf("match.methods lacks %s, so no such request reaches the route", method).or("add it there, or leave it out here"))
		case len(r.Match.Methods) == 0 && !slices.Contains(knownMethods, method):
			p := problemf("%s is not a known method", method).or("list it in match.methods too if the upstream has it")
			if near := nearest(method, strings.Fields(strings.ToLower(strings.Join(knownMethods, " ")))); near != "" {
				p.or("did you mean %s?", strings.ToUpper(near))
			}
			k.at(item(at, i), p)
		}
	}
}

// knownMethods are the methods that origins commonly have. Others must be listed in match.methods,
// so that a misspelt one is noticed.
var knownMethods = []string{
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH",
}

// corsFields refuses header rules for fields that cors writes after them. In `defaults` they may be
// for a route without cors.
func (k checker) corsFields(r *Route, at *node) {
	if !k.sound(at) {
		return
	}
	for _, key := range []string{"set", "add"} {
		if !k.sound(at.get(key)) {
			continue
		}
		for _, f := range at.get(key).fields {
			if name := canonicalField(f.key.text); strings.HasPrefix(name, "Access-Control-") && k.own(at.get(key), f.key.text) {
				k.atKey(f.key, problemf("cors replaces all Access-Control fields, so this has no effect").or("leave it out, or leave cors out"))
			}
		}
	}
	for i, name := range r.Headers.Response.Remove {
		if entry := item(at.get("remove"), i); strings.HasPrefix(name, "Access-Control-") && k.sound(entry) && k.own(at, "remove") {
			k.at(entry, problemf("cors replaces all Access-Control fields, so this has no effect").or("leave it out"))
		}
	}
}

// nullOrigin warns of an origin that any site can take.
func (k checker) nullOrigin(r *Route, n *node) {
	if r.CORS == nil {
		return
	}
	if i := slices.Index(r.CORS.Origins, "null"); i >= 0 {
		k.warn(item(n.get("cors").get("origins"), i), problemf("any site can open a sandboxed frame, whose origin is null, so this allows all sites").or("name the origins of the pages"))
	}
}

var (
	originPattern = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^/?#@:\[\]]+)(:[0-9]+)?$`)
	upperCase     = regexp.MustCompile(`[A-Z]`)
)

// readOrigin accepts origins in the one form that browsers send, because they are compared byte for
// byte (https://html.spec.whatwg.org/#ascii-serialisation-of-an-origin).
func readOrigin(s string) (string, *problem) {
	if s == "*" || s == "null" {
		return s, nil
	}
	scheme, rest, ok := strings.Cut(s, "://")
	host, _, _ := strings.Cut(rest, "/")
	tidy := scheme + "://" + host
	switch {
	case !ok && strings.Contains(s, ":"):
		return "", not("such as https://app.example.com")
	case !ok:
		return "", not("").or("write https://%s", clip(strings.ToLower(strings.TrimRight(s, "/"))))
	case strings.ContainsAny(rest, "?#@"):
		return "", problemf("an origin has no user, query or fragment").or("such as https://app.example.com")
	case host != rest && rest == host+"/":
		return "", problemf("an origin has no slash at the end").or("write %s", clip(tidy))
	case host != rest:
		return "", problemf("an origin has no path").or("write %s", clip(tidy))
	case upperCase.MatchString(s):
		return "", problemf("browsers send origins in lower case").or("write %s", clip(strings.ToLower(s)))
	}
	m := originPattern.FindStringSubmatch(s)
	if m == nil {
		return "", not("such as https://app.example.com")
	}
	if p := checkOriginHost(m[1], m[2]); p != nil {
		return "", p
	}
	return s, checkOriginPort(m[1], m[2], strings.TrimPrefix(m[3], ":"))
}

// checkOriginHost checks the host of an origin, which may begin with *.
func checkOriginHost(scheme, host string) *problem {
	name, wild := strings.CutPrefix(host, "*.")
	bare := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	switch ip, err := netip.ParseAddr(bare); {
	case strings.Contains(name, "*"):
		return problemf("* stands only for names below a host").or("such as https://*.example.com")
	case wild && net.ParseIP(bare) != nil:
		return problemf("an IP address has no names below it").or("name the address")
	case wild && !strings.Contains(name, "."):
		return problemf("*.%s would allow all sites below %s", clip(name), clip(name)).or("such as %s://*.example.%s", scheme, clip(name))
	case bare != name && (err != nil || !ip.Is6() || ip.String() != bare):
		return problemf("browsers don't write the address %s like that", clip(name)).or("such as https://[2001:db8::1]")
	}
	return checkHost(bare)
}

// checkOriginPort checks the port of an origin. Browsers leave out the scheme's own.
func checkOriginPort(scheme, host, port string) *problem {
	if port == "" {
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return problemf("%s is not a port", clip(port)).or("from 1 to 65535")
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return problemf("browsers leave out port %s of %s", port, scheme).or("write %s://%s", scheme, clip(host))
	}
	return nil
}

// readCORSMethod accepts the methods that a browser lets pages use. It compares them case by case,
// and changes the case of a few only (https://fetch.spec.whatwg.org/#methods).
func readCORSMethod(s string) (string, *problem) {
	upper := strings.ToUpper(s)
	switch {
	case s == "*":
		return "", problemf("* is not a method").or("name each method")
	case upper == "CONNECT" || upper == "TRACE" || upper == "TRACK":
		return "", problemf("browsers never let pages use %s", upper).or("leave it out")
	}
	return readMethod(s)
}

// forbiddenFields are request fields that pages can't set
// (https://fetch.spec.whatwg.org/#forbidden-request-header).
var forbiddenFields = []string{
	"Accept-Charset", "Accept-Encoding", "Access-Control-Request-Headers", "Access-Control-Request-Method", "Access-Control-Request-Private-Network", "Connection", "Content-Length",
	"Cookie", "Cookie2", "Date", "Dnt", "Expect", "Host", "Keep-Alive", "Origin", "Referer", "Set-Cookie", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Via",
}

func readCORSHeader(s string) (string, *problem) {
	name, p := readField(s)
	if p == nil && (slices.Contains(forbiddenFields, name) || strings.HasPrefix(name, "Sec-") || strings.HasPrefix(name, "Proxy-")) {
		return "", problemf("browsers don't let pages set %s, so no preflight announces it", name).or("leave it out")
	}
	return name, p
}

// readCORSExposed refuses the fields that pages can never read
// (https://fetch.spec.whatwg.org/#forbidden-response-header-name).
func readCORSExposed(s string) (string, *problem) {
	name, p := readField(s)
	if name == "Set-Cookie" || name == "Set-Cookie2" {
		return "", problemf("browsers don't let pages read %s", name).or("leave it out")
	}
	return name, p
}
