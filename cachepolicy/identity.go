package cachepolicy

import (
	"slices"
	"strings"
)

// identities lists the fields in which a proxy in front, or the client, tells the origin the
// identity of the user: a name or mail address, a certificate, a token or an API key. Authorization
// and Cookie have their own rules.
var identities = byLength(
	"Proxy-Authorization", "Api-Key", "Apikey", "X-Api-Key", "X-Apikey", "X-Api-Token", "X-Access-Token", "X-Auth-Token", "X-Session-Token", "X-Amz-Security-Token",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Forwarded-Client-Cert",
	"Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name", "X-Remote-User", "X-Remote-Group", "X-Authenticated-User", "X-Authenticated-Userid", "X-Webauth-User",
	"X-Credential-Identifier", "X-Userinfo", "X-User-Id", "X-Client-Cert", "Ssl-Client-Cert", "Client-Cert", "X-Arr-Clientcert",
)

// identityPrefixes lists lower-case prefixes of whole families of such fields.
var identityPrefixes = [...]string{
	"x-auth-request-", "x-forwarded-tls-client-cert", "x-ssl-client-", "x-authentik-", "x-pomerium-", "x-vouch-", "x-consumer-", "x-amzn-oidc-", "x-amzn-mtls-",
	"x-goog-authenticated-user-", "x-goog-iap-", "x-ms-client-principal", "x-ms-token-", "cf-access-", "tailscale-user-",
}

const maxIdentity = 32

// byLength indexes names by length, so that Identifies compares few other names with one of them.
func byLength(names ...string) (list [maxIdentity][]string) {
	for _, name := range names {
		list[len(name)] = append(list[len(name)], name)
	}
	return list
}

// IdentifiesUser reports whether the field with the given name, in any case, identifies a user. It
// allocates nothing.
func IdentifiesUser(name string) bool {
	if len(name) < maxIdentity && slices.ContainsFunc(identities[len(name)], func(n string) bool { return strings.EqualFold(n, name) }) {
		return true
	}
	if name == "" || strings.IndexByte("xXcCtT", name[0]) < 0 {
		return false
	}
	for _, prefix := range identityPrefixes {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// HearsIdentity reports whether a field that identifies the user can prevent a request from sharing
// a response with the facts m.
func (r *Rules) HearsIdentity(m *Meta) bool { return m.Flags&FlagDeclared == 0 }

// hasIdentity reports whether q has a field that identifies its user and that does not already
// select the response through vary. It allocates nothing.
func (r *Rules) hasIdentity(q *Request, vary Vary) bool {
	for name, lines := range q.Header {
		if r.countsIdentity(name, lines) && !vary.varies(name) {
			return true
		}
	}
	return false
}

// CountedIdentity returns the sorted names of q's fields that identify the user and that count. A
// field counts if it is not in the key and the route forwards it to the origin.
func (r *Rules) CountedIdentity(q *Request) (names []string) {
	for name, lines := range q.Header {
		if r.countsIdentity(name, lines) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (r *Rules) countsIdentity(name string, lines []string) bool {
	return IdentifiesUser(name) && namesUser(name, lines) && !slices.Contains(r.KeyHeaders, name) && (r.Forwards == nil || r.Forwards(name))
}

// namesUser reports whether the lines of an identity field name a user. nginx writes NONE for a
// client without a certificate.
func namesUser(name string, lines []string) bool {
	for _, line := range lines {
		if line != "" && !(line == "NONE" && name == "X-Ssl-Client-Verify") {
			return true
		}
	}
	return false
}

// varies reports whether the field with the given canonical name selects the response.
func (v Vary) varies(name string) bool {
	for n := range v.Names() {
		if n == name {
			return true
		}
	}
	return false
}
