package addresses

import (
	"net/netip"
	"slices"
)

// Set is an immutable set of IP addresses. The zero value is empty.
type Set struct {
	spans []span // sorted, and no two of them overlap
}

// span holds all addresses from first to last, both of the same family.
type span struct{ first, last netip.Addr }

// NewSet returns the set of all addresses in the networks. It takes IPv4-mapped IPv6 as IPv4.
func NewSet(networks []netip.Prefix) *Set {
	spans := make([]span, 0, len(networks))
	for _, n := range networks {
		n = unmapped(n).Masked()
		if n.IsValid() {
			spans = append(spans, span{n.Addr(), lastOf(n)})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.first.Compare(b.first) })
	merged := spans[:0]
	for _, s := range spans {
		if end := len(merged) - 1; end >= 0 && merged[end].last.BitLen() == s.first.BitLen() && s.first.Compare(merged[end].last) <= 0 {
			if s.last.Compare(merged[end].last) > 0 {
				merged[end].last = s.last
			}
			continue
		}
		merged = append(merged, s)
	}
	return &Set{slices.Clip(merged)}
}

// Has reports whether ip is in the set. It takes IPv4-mapped IPv6 as IPv4 and ignores the zone. An
// invalid address is in no set.
func (s *Set) Has(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	low, high := 0, len(s.spans) // the first span that ends at ip or behind it is in [low, high]
	for low < high {
		if middle := int(uint(low+high) / 2); s.spans[middle].last.Compare(ip) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low < len(s.spans) && ip.IsValid() && s.spans[low].first.BitLen() == ip.BitLen() && s.spans[low].first.Compare(ip) <= 0
}

// unmapped returns a network of IPv4-mapped addresses as IPv4, and any other network unchanged.
func unmapped(n netip.Prefix) netip.Prefix {
	if n.Addr().Is4In6() && n.Bits() >= mappedBits {
		return netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-mappedBits)
	}
	return n
}

// mappedBits is the length of ::ffff:0:0/96, the network of IPv4-mapped addresses.
const mappedBits = 96

// lastOf returns the last address of a network.
func lastOf(n netip.Prefix) netip.Addr {
	bytes := n.Addr().AsSlice()
	for i := n.Bits(); i < len(bytes)*8; i++ {
		bytes[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}
