package build

import (
	"fmt"
	"net/netip"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/edge/addresses"
)

// allow returns the rules about the addresses of a route's clients, or nil if there are none.
func (b *builder) allow(r *config.Route) (*edge.AddressRules, error) {
	allow, err := b.addressLists("", r.Allow.IPs, r.Allow.Files)
	if err != nil {
		return nil, err
	}
	deny, err := b.addressLists("deny_", r.Allow.DenyIPs, r.Allow.DenyFiles)
	if err != nil {
		return nil, err
	}
	if len(allow)+len(deny) == 0 {
		return nil, nil
	}
	return &edge.AddressRules{Allow: allow, Deny: deny}, nil
}

// addressLists returns the lists of the keys allow.KINDips and allow.KINDfiles.
func (b *builder) addressLists(kind string, ips []netip.Prefix, files []string) (out []edge.AddressList, err error) {
	if len(ips) > 0 {
		out = append(out, edge.AddressList{Name: "allow." + kind + "ips", Set: addresses.NewSet(ips)})
	}
	for i, path := range files {
		list := b.files[path]
		if list == nil {
			if list, err = b.lists.Open(path); err != nil {
				return nil, fmt.Errorf("allow.%sfiles[%d]: %w", kind, i, err)
			}
			b.files[path] = list
		}
		out = append(out, edge.AddressList{Name: "the file " + path + " of allow." + kind + "files", Set: addresses.List{File: list}})
	}
	return out, nil
}
