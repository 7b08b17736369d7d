package hop

import (
	"net"
	"net/url"
	"strings"
)

// Target is a target as requests name it.
type Target struct {
	Name        string // scheme and authority, for errors and records
	Scheme      string
	Authority   string
	Host        string // the Host field: the authority without the zone of an address
	base        string // the path in front of each request's own, without a slash at the end
	escapedBase string
}

// NewTarget reads the address of a target off its URL.
func NewTarget(u *url.URL) Target {
	return Target{
		Name: u.Scheme + "://" + u.Host, Scheme: u.Scheme, Authority: u.Host, Host: HostField(u),
		base: strings.TrimRight(u.Path, "/"), escapedBase: strings.TrimRight(u.EscapedPath(), "/"),
	}
}

// HostField is u's authority without the zone of an address, which means something on this machine
// alone (RFC 6874 §4).
func HostField(u *url.URL) string {
	name, _, zoned := strings.Cut(u.Hostname(), "%")
	if !zoned {
		return u.Host
	}
	if port := u.Port(); port != "" {
		return net.JoinHostPort(name, port)
	}
	return "[" + name + "]"
}

// Rebase puts the target's scheme, authority and path in front of u.
func (a *Target) Rebase(u *url.URL) *url.URL {
	out := &url.URL{Scheme: a.Scheme, Host: a.Authority, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
	if out.Path == "*" {
		// OPTIONS * asks about the server, and stays as it is (RFC 9112 §3.2.4).
		out.Path, out.Opaque = "", "*"
	}
	if a.base != "" && out.Opaque == "" {
		out.RawPath = a.escapedBase + u.EscapedPath()
		out.Path = a.base + u.Path
	}
	return out
}

// AppendTarget writes the request target: the target's own path in front of u's.
func (a *Target) AppendTarget(b []byte, u *url.URL) []byte {
	if u.Path == "*" {
		return append(b, '*') // OPTIONS * asks about the server, and stays as it is (RFC 9112 §3.2.4)
	}
	start := len(b)
	b = append(append(b, a.escapedBase...), u.EscapedPath()...)
	if len(b) == start {
		b = append(b, '/')
	}
	if u.ForceQuery || u.RawQuery != "" {
		b = append(append(b, '?'), u.RawQuery...)
	}
	return b
}
