package edge

import (
	"net/http"
	"net/netip"

	"github.com/penstock/penstock/proxy/observe"
)

// AddressList is a set of client addresses, with its name for explanations.
type AddressList struct {
	Name string
	Set  interface{ Has(netip.Addr) bool }
}

// AddressRules say which clients may use a route. The denying lists win. Without an allowing list
// all other addresses are allowed.
type AddressRules struct {
	Allow, Deny []AddressList
}

// The reasons for which AddressRules refuse a client.
const (
	addressDenied    = "denied"     // a denying list has the address
	addressNotListed = "not_listed" // no allowing list has the address
	addressUnknown   = "no_address" // the client has no IP address
)

// refuses returns the reason for which a client is refused, or "".
func (a *AddressRules) refuses(ip netip.Addr) (reason string) {
	switch {
	case !ip.IsValid():
		return addressUnknown
	case find(a.Deny, ip) != "":
		return addressDenied
	case len(a.Allow) > 0 && find(a.Allow, ip) == "":
		return addressNotListed
	}
	return ""
}

// find returns the name of the first list that has ip, or "".
func find(lists []AddressList, ip netip.Addr) string {
	for i := range lists {
		if lists[i].Set.Has(ip) {
			return lists[i].Name
		}
	}
	return ""
}

// why tells operators why a client is refused for a reason.
func (a *AddressRules) why(reason string, ip netip.Addr) string {
	switch reason {
	case addressDenied:
		return find(a.Deny, ip) + " has the client's address " + ip.String()
	case addressNotListed:
		return "no allowing list has the client's address " + ip.String()
	}
	return "the client has no IP address"
}

const (
	allowStage    = "allow"
	addressDetail = "clients with this address may not use this resource"
)

// AllowStage returns the stage that refuses clients by their address, with 403. A connection asks
// the same rules about the same address before it answers a hit.
func AllowStage(rules *AddressRules) Stage {
	return Stage{
		Name: allowStage,
		Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if reason := rules.refuses(observe.FromContext(r.Context()).ClientIP); reason != "" {
					refuse(w, r, allowStage, reason, http.StatusForbidden, addressDetail)
					return
				}
				next.ServeHTTP(w, r)
			})
		},
		OnHit: Check(func(at *Located) bool { return rules.refuses(at.Client) == "" }),
		Explain: func(at *Located, e *Explanation) {
			if reason := rules.refuses(at.Client); reason != "" {
				e.Refuse(http.StatusForbidden, addressDetail)
				e.Refused.Why = rules.why(reason, at.Client)
			}
		},
	}
}
