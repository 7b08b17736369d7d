package edge

import (
	"net/http"
	"strings"
)

// overrides lists fields that give a request another host, port, scheme, prefix, method or URL than
// its request line, Host and connection do. Load balancers forward such fields from their clients.
// If an origin followed one, its response would be stored under the key of the plain request. So
// they are dropped from every peer, unless a route names them (see GuardConfig.Named). The same
// holds for every X-Forwarded-* field that is not in testimony.
var overrides = canonicalSet(
	"X-Forwarded", "X-Forwarded-Prefix", "X-Forwarded-Protocol", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-By", "X-Forwarded-Path",
	"X-Forwarded-Uri", "X-Forwarded-Url", "X-Forwarded-Method", "X-Forwarded-Context", "X-Forwarded-Script-Name",
	"X-Original-Host", "X-Original-Url", "X-Original-Uri", "X-Original-Path", "X-Original-Method", "X-Original-Proto", "X-Original-Scheme", "X-Ms-Original-Url",
	"X-Rewrite-Url", "X-Rewrite-Uri", "X-Rewrite-Path", "X-Override-Url", "X-Envoy-Original-Path", "X-Envoy-Original-Host", "X-Waws-Unencoded-Url", "X-Http-Destinationurl",
	"X-Http-Path-Override", "X-Request-Uri", "X-Request-Url", "Request-Uri", "X-Url", "X-Uri", "X-Proxy-Url", "Base-Url", "X-Base-Url", "X-Script-Name", "Script-Name",
	"X-Host", "X-Http-Host", "X-Http-Host-Override", "X-Host-Override", "X-Backend-Host", "X-Orig-Host", "X-Proxy-Host", "X-Server-Name", "Proxy-Host", "X-Port", "X-Server-Port", "Proxy-Port",
	"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Method", "X-Request-Method",
	"X-Url-Scheme", "X-Scheme", "X-Proto", "X-Https", "Https", "X-Ssl", "Ssl-Offloaded", "X-Arr-Ssl", "Wl-Proxy-Ssl", "Front-End-Https", "Cf-Visitor", "Cloudfront-Forwarded-Proto",
	"X-Client-Proto", "X-Client-Scheme", "X-Real-Scheme", "X-Real-Host", "Proxy",
)

// testimony lists fields in which a proxy describes its client: address, name, certificate. From an
// untrusted peer they may be forged.
var testimony = canonicalSet(
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups",
	"X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info",
	"X-Original-Forwarded-For", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Originating-Ip", "X-Remote-Ip", "X-Remote-Addr", "X-Proxyuser-Ip", "X-Envoy-External-Address",
	"True-Client-Ip", "Client-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Fastly-Client-Ip", "Fly-Client-Ip", "X-Azure-Clientip", "X-Appengine-User-Ip", "Wl-Proxy-Client-Ip",
	"Remote-User", "X-Remote-User", "X-Authenticated-User", "X-Ssl-Client-Cert", "X-Ssl-Client-Verify", "X-Ssl-Client-S-Dn", "Ssl-Client-Cert", "Client-Cert", "Client-Cert-Chain",
)

// mayBeNamed reports whether a route may accept the field by naming it. It may not name Proxy,
// because that field would set a CGI program's HTTP_PROXY.
func mayBeNamed(name string) bool { return isOverride(name) && name != "Proxy" }

// isOverride reports whether name, in canonical form, is a field of overrides.
func isOverride(name string) bool {
	return overrides[name] || strings.HasPrefix(name, "X-Forwarded-") && !testimony[name]
}

// isClaim reports whether name is a field that claims a fact about the client or the request.
func isClaim(name string) bool {
	return overrides[name] || testimony[name] || strings.HasPrefix(name, "X-Forwarded-")
}

// ours lists the claims that the guard rewrites in every request.
var ours = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-Ip"}

// managed lists further fields that must not be forged by an alias with underscores: CGI and WSGI
// spell both alike.
var managed = canonicalSet(
	"Authorization", "Content-Length", "Content-Type", "Cookie", "Host", "Via", "Age", "Cache-Control", "Date", "Expect", "Range", "Origin", "User-Agent",
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
)

func canonicalSet(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[http.CanonicalHeaderKey(n)] = true
	}
	return set
}

// Rewrites reports whether the guard removes or rewrites a request field, so that handlers do not
// see the client's value.
func Rewrites(name string) bool {
	return isClaim(name) || fixed[name] || dashed(name) != name
}

// Overrides reports whether a field gives a request another host, port, scheme, prefix, method or
// URL, and a route may accept it by naming it.
func Overrides(name string) bool { return mayBeNamed(name) }

// dropClaims removes the claims that may not be forwarded: overrides that no route names and, from
// an untrusted peer, all fields that describe another client. It also removes an untrusted peer's
// X-Forwarded-* that are named: that peer is not a proxy whose prefix, host or scheme they could
// describe.
func dropClaims(h http.Header, trusted bool, named map[string]bool) {
	for name := range h {
		switch {
		case !isClaim(name):
		case isOverride(name):
			if !named[name] || !mayBeNamed(name) || !trusted && strings.HasPrefix(name, "X-Forwarded") {
				delete(h, name)
			}
		case !trusted:
			delete(h, name)
		}
	}
}

// dropAliases removes fields whose name differs from a significant field's only in the characters
// between the words. CGI, WSGI and Rack turn both names into the same variable. No client has a
// reason for such a spelling, so the field is removed for every peer.
func dropAliases(h http.Header) {
	for name := range h {
		if plain := dashed(name); plain != name && (isClaim(plain) || managed[plain]) {
			delete(h, name)
		}
	}
}

// dashed returns the canonical form of name with each character that is neither a letter nor a
// digit replaced by a dash.
func dashed(name string) string {
	if !strings.ContainsFunc(name, odd) {
		return name
	}
	return http.CanonicalHeaderKey(strings.Map(func(r rune) rune {
		if odd(r) {
			return '-'
		}
		return r
	}, name))
}

func odd(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}
