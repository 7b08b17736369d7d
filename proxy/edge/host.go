package edge

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// ErrHost says that a Host is malformed, or that recipients could read it differently.
var ErrHost = errors.New("the host is malformed or ambiguous")

// CanonicalHost returns the one spelling of a Host or :authority for a scheme: in lower case,
// without the scheme's default port, an empty port or a trailing dot, and with an IPv6 address in
// its short form. It returns ErrHost for userinfo, zones, escapes, and for anything but an ASCII
// name or an address. It is idempotent.
func CanonicalHost(host, scheme string) (string, error) {
	name, port, err := splitPort(host)
	if err != nil {
		return "", err
	}
	if port, err = canonicalPort(port, scheme); err != nil {
		return "", err
	}
	if strings.HasPrefix(name, "[") {
		name, err = canonicalIPv6(name)
	} else {
		name, err = canonicalName(name)
	}
	if err != nil || port == "" {
		return name, err
	}
	return name + ":" + port, nil
}

// splitPort cuts host at the colon before its port. An IPv6 address keeps its brackets.
func splitPort(host string) (name, port string, err error) {
	end := strings.LastIndexByte(host, ']') + 1
	rest := host[end:]
	colon := strings.IndexByte(rest, ':')
	switch {
	case end > 0 && rest != "" && colon != 0, colon >= 0 && strings.Count(rest, ":") > 1:
		return "", "", ErrHost
	case colon < 0:
		return host, "", nil
	}
	return host[:end+colon], rest[colon+1:], nil
}

func canonicalPort(port, scheme string) (string, error) {
	if port == "" {
		return "", nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", ErrHost
	}
	if scheme == "http" && n == 80 || scheme == "https" && n == 443 {
		return "", nil
	}
	return strconv.FormatUint(n, 10), nil
}

func canonicalIPv6(name string) (string, error) {
	if !strings.HasSuffix(name, "]") {
		return "", ErrHost
	}
	ip, err := netip.ParseAddr(name[1 : len(name)-1])
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return "", ErrHost
	}
	return "[" + ip.String() + "]", nil
}

// canonicalName checks a name or an IPv4 address. RFC 952 does not allow underscores in host names,
// but they are in use.
func canonicalName(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return "", ErrHost
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return "", ErrHost
		}
	}
	for i := range len(name) {
		c := name[i]
		if c == '~' || !unreserved(c) {
			return "", ErrHost
		}
	}
	return strings.ToLower(name), nil
}
