package edge

import (
	"net/http"
	"strings"
)

// claims are fields by which a proxy in front tells what it knows of the client, or overrides what the request says. From an untrusted peer they are
// forgeries at best, and unkeyed input of a cache at worst.
var claims = canonicalSet(
	"Forwarded", "X-Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Protocol", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix",
	"X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-By", "X-Forwarded-Path", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-User",
	"X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert",
	"X-Forwarded-Tls-Client-Cert-Info", "X-Original-Forwarded-For", "X-Original-Host", "X-Original-Url", "X-Original-Uri", "X-Original-Method", "X-Rewrite-Url", "X-Rewrite-Uri",
	"X-Host", "X-Http-Host-Override", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Http-Destinationurl", "X-Url-Scheme", "X-Scheme", "Front-End-Https",
	"X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Originating-Ip", "X-Remote-Ip", "X-Remote-Addr", "X-Proxyuser-Ip", "X-Envoy-External-Address", "X-Envoy-Original-Path",
	"True-Client-Ip", "Client-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Fastly-Client-Ip", "Fly-Client-Ip", "X-Azure-Clientip", "X-Appengine-User-Ip",
	"Remote-User", "X-Remote-User", "X-Authenticated-User", "X-Ssl-Client-Cert", "X-Ssl-Client-Verify", "X-Ssl-Client-S-Dn", "Ssl-Client-Cert", "Client-Cert", "Client-Cert-Chain",
	"X-Waws-Unencoded-Url", "Proxy",
)

// ours are the claims that the guard writes anew for every request.
var ours = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-Ip"}

// managed are further fields whose alias with underscores an application could take for them: CGI and WSGI spell both alike.
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

// Rewrites reports the fields that the guard removes from requests, or writes itself: what handlers see of them is not what the client sent.
func Rewrites(name string) bool {
	return claims[name] || fixed[name] || strings.HasPrefix(name, "X-Forwarded-") || strings.Contains(name, "_")
}

// dropClaims removes the claims of an untrusted peer.
func dropClaims(h http.Header) {
	for name := range h {
		if claims[name] || strings.HasPrefix(name, "X-Forwarded-") {
			delete(h, name)
		}
	}
}

// dropAliases removes fields that are spelled with underscores where the spelling with dashes means something. No client has a reason for that
// spelling, so it goes whoever sent it.
func dropAliases(h http.Header) {
	for name := range h {
		if !strings.Contains(name, "_") {
			continue
		}
		dashed := http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
		if claims[dashed] || managed[dashed] || strings.HasPrefix(dashed, "X-Forwarded-") {
			delete(h, name)
		}
	}
}
