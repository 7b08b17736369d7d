package addresses

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
)

// maxQuoted bounds the part of a broken entry that an error repeats.
const maxQuoted = 60

// Parse reads a list with one network or address a line. # begins a comment. The error names the
// first line that is neither.
func Parse(text []byte) ([]netip.Prefix, error) {
	var out []netip.Prefix
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line, _, _ = bytes.Cut(line, []byte("#"))
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		n, err := ParseNetwork(string(line))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		out = append(out, n)
	}
	return out, nil
}

// ParseNetwork reads a network as CIDR, or a single address. It returns IPv4-mapped IPv6 as IPv4.
// It refuses zones, which are names on one machine, and bits outside the mask, because it can't tell
// whether the address or the network is meant.
func ParseNetwork(s string) (netip.Prefix, error) {
	addr, err := netip.ParseAddr(s)
	switch {
	case err != nil:
	case addr.Zone() != "":
		return netip.Prefix{}, fmt.Errorf("%s has a zone; write %s", quoted(s), addr.WithZone(""))
	default:
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	switch {
	case err != nil && bytes.IndexByte([]byte(s), '%') >= 0:
		return netip.Prefix{}, fmt.Errorf("%s has a zone; write the network without %% and what follows it", quoted(s))
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%s is not a network; write one such as 10.0.0.0/8, 2001:db8::/32 or ::1", quoted(s))
	case n.Addr().Is4In6() && n.Bits() < mappedBits:
		return netip.Prefix{}, fmt.Errorf("%s is IPv4 written as IPv6, with a mask beyond IPv4; write the network as IPv4", quoted(s))
	case n != n.Masked():
		return netip.Prefix{}, fmt.Errorf("%s has bits outside its mask; write %s for the network, or %s for the address alone", quoted(s), unmapped(n).Masked(), n.Addr().Unmap())
	}
	return unmapped(n), nil
}

func quoted(s string) string {
	if len(s) > maxQuoted {
		s = s[:maxQuoted] + "…"
	}
	return strconv.Quote(s)
}
