package edge

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"

	"github.com/penstock/penstock/proxy/observe"
)

// setOf is a set of addresses by their spelling.
type setOf []string

func (s setOf) Has(ip netip.Addr) bool { return slices.Contains(s, ip.String()) }

func TestAddressRules(t *testing.T) {
	list := func(ips ...string) []AddressList { return []AddressList{{Name: "ips", Set: setOf(ips)}} }
	for _, c := range []struct {
		name        string
		allow, deny []AddressList
		ip, reason  string
	}{
		{"in the allowing list", list("10.0.0.1"), nil, "10.0.0.1", ""},
		{"not in the allowing list", list("10.0.0.1"), nil, "10.0.0.2", addressNotListed},
		{"in the second allowing list", append(list("10.0.0.1"), list("10.0.0.2")...), nil, "10.0.0.2", ""},
		{"an allowing list without entries", list(), nil, "10.0.0.1", addressNotListed},
		{"in the denying list", nil, list("10.0.0.1"), "10.0.0.1", addressDenied},
		{"not in the denying list", nil, list("10.0.0.1"), "10.0.0.2", ""},
		{"in both lists", list("10.0.0.1"), list("10.0.0.1"), "10.0.0.1", addressDenied},
		{"no address, allowing list", list("10.0.0.1"), nil, "", addressUnknown},
		{"no address, denying list", nil, list("10.0.0.1"), "", addressUnknown},
	} {
		var ip netip.Addr
		if c.ip != "" {
			ip = netip.MustParseAddr(c.ip)
		}
		rules := &AddressRules{c.allow, c.deny}
		stage := AllowStage(rules)
		ev := &observe.Event{ClientIP: ip}
		passed := false
		w := httptest.NewRecorder()
		stage.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })).
			ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(observe.NewContext(t.Context(), ev)))
		at := &Located{Client: ip}
		said := Explain([]Stage{stage}, at)
		if got := rules.refuses(ip); got != c.reason || passed != (c.reason == "") || stage.OnHit.check(at) != passed || (said.Refused == nil) != passed || ev.Refusal != c.reason {
			t.Errorf("%s: refused for %q, recorded %q, the request passed: %v, a hit: %v, explained: %+v", c.name, got, ev.Refusal, passed, stage.OnHit.check(at), said.Refused)
		}
		if !passed && (w.Code != http.StatusForbidden || ev.RefusedBy != "allow" || said.Refused.Stage != "allow" || said.Refused.Why == "" || said.Refused.Status != w.Code) {
			t.Errorf("%s: %d by %q; explained: %+v", c.name, w.Code, ev.RefusedBy, said.Refused)
		}
	}
}
