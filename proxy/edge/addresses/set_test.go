package addresses

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSet(t *testing.T) {
	for _, c := range []struct {
		list, in, out string // addresses separated by spaces
	}{
		{"", "", "0.0.0.0 :: 127.0.0.1"},
		{"10.0.0.0/8", "10.0.0.0 10.255.255.255 ::ffff:10.1.2.3", "9.255.255.255 11.0.0.0 ::a00:1 ::10.0.0.1"},
		{"192.0.2.7", "192.0.2.7", "192.0.2.6 192.0.2.8"},
		{"0.0.0.0/0", "0.0.0.0 255.255.255.255 ::ffff:1.2.3.4", ":: ::1 ffff::"},
		{"::/0", ":: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0 1.2.3.4 ::ffff:1.2.3.4"},
		{"2001:db8::/32", "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7:ffff:: 2001:db9::"},
		{"fe80::/10", "fe80::1 fe80::1%eth0", "fec0::"},
		{"::ffff:10.0.0.0/104 ::ffff:192.0.2.1", "10.9.9.9 192.0.2.1 ::ffff:192.0.2.1", "11.0.0.0 192.0.2.2"},
		{"10.0.0.0/9 10.0.0.0/8 10.64.0.0/10 10.0.0.5", "10.255.0.1 10.0.0.5", "11.0.0.1"},
		{"255.255.255.255 ::", "255.255.255.255 ::", "255.255.255.254 ::1 0.0.0.0"},
		{"10.0.0.2 10.0.0.4", "10.0.0.2 10.0.0.4", "10.0.0.1 10.0.0.3 10.0.0.5"},
	} {
		networks, err := Parse([]byte(strings.ReplaceAll(c.list, " ", "\n")))
		if err != nil {
			t.Errorf("%q: %v", c.list, err)
		}
		set := NewSet(networks)
		for i, list := range []string{c.in, c.out} {
			for _, s := range strings.Fields(list) {
				if got := set.Has(netip.MustParseAddr(s)); got != (i == 0) {
					t.Errorf("%q has %s: %v", c.list, s, got)
				}
			}
		}
		if set.Has(netip.Addr{}) {
			t.Errorf("%q has an invalid address", c.list)
		}
	}
}

// TestSetAgreesWithItsNetworks compares a set with a walk over the networks of which it was made.
func TestSetAgreesWithItsNetworks(t *testing.T) {
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "four") {
			return netip.AddrFrom4([4]byte{10, 0, rapid.Byte().Draw(t, "c") & 3, rapid.Byte().Draw(t, "d")})
		}
		return netip.AddrFrom16([16]byte{0: 0x20, 14: rapid.Byte().Draw(t, "o") & 3, 15: rapid.Byte().Draw(t, "p")})
	})
	rapid.Check(t, func(t *rapid.T) {
		var networks []netip.Prefix
		for range rapid.IntRange(0, 12).Draw(t, "networks") {
			a := addr.Draw(t, "network")
			networks = append(networks, netip.PrefixFrom(a, rapid.IntRange(0, 12).Draw(t, "host bits")*-1+a.BitLen()))
		}
		set := NewSet(networks)
		for range 40 {
			a, want := addr.Draw(t, "address"), false
			for _, n := range networks {
				want = want || n.Contains(a)
			}
			if set.Has(a) != want {
				t.Fatalf("%v has %v: %v", networks, a, !want)
			}
		}
	})
}

func TestParse(t *testing.T) {
	got, err := Parse([]byte("\ufeff# office\r\n10.0.0.0/8 # all\r\n\r\n\t::1\n192.0.2.1#x\n2001:DB8::/32"))
	if err != nil || len(got) != 4 || got[0] != netip.MustParsePrefix("10.0.0.0/8") || got[3] != netip.MustParsePrefix("2001:db8::/32") {
		t.Errorf("%v %v", got, err)
	}
	for text, want := range map[string]string{
		"::1\n10.0.0.1/8":            `line 2: "10.0.0.1/8" has bits outside its mask; write 10.0.0.0/8 for the network, or 10.0.0.1 for the address alone`,
		"fe80::1%eth0":               `line 1: "fe80::1%eth0" has a zone; write fe80::1`,
		"fe80::%eth0/64":             `line 1: "fe80::%eth0/64" has a zone`,
		"# x\n\nexample.com":         `line 3: "example.com" is not a network; write one such as`,
		"10.0.0.0/33":                `line 1: "10.0.0.0/33" is not a network`,
		"10.0.0.0/08":                `line 1: "10.0.0.0/08" is not a network`,
		"10.0.0.0 - 10.0.0.9":        `line 1: "10.0.0.0 - 10.0.0.9" is not a network`,
		"::ffff:10.0.0.0/90":         `line 1: "::ffff:10.0.0.0/90" is IPv4 written as IPv6, with a mask beyond IPv4`,
		"::ffff:10.0.0.1/104":        `line 1: "::ffff:10.0.0.1/104" has bits outside its mask; write 10.0.0.0/8`,
		strings.Repeat("1", 1000):    `111…" is not a network`,
		"10.0.0.0/8, 192.168.0.0/16": `is not a network`,
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzParse: a list that is accepted holds exactly what its entries say, and no text panics.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8\n::1 # x", "::ffff:10.0.0.0/104", "fe80::1%a", "0.0.0.0/0\n::/0", "\ufeff1.2.3.4\r\n"} {
		f.Add([]byte(s), []byte{10, 0, 0, 1})
	}
	f.Fuzz(func(t *testing.T, text, ip []byte) {
		networks, err := Parse(text)
		if err != nil {
			return
		}
		set := NewSet(networks)
		for _, n := range networks {
			if n != n.Masked() || n.Addr().Is4In6() || n.Addr().Zone() != "" || !set.Has(n.Addr()) || !set.Has(lastOf(n)) {
				t.Fatalf("%q gave %v", text, n)
			}
		}
		a, ok := netip.AddrFromSlice(ip)
		if !ok {
			return
		}
		want := false
		for _, n := range networks {
			want = want || n.Contains(a.Unmap())
		}
		if set.Has(a) != want {
			t.Fatalf("%q has %v: %v", text, a, !want)
		}
	})
}

func BenchmarkSet(b *testing.B) {
	var networks []netip.Prefix
	for i := range 100_000 {
		networks = append(networks, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i >> 12), byte(i >> 4), byte(i << 4), 0}), 24))
	}
	set, ip := NewSet(networks), netip.MustParseAddr("11.22.33.44")
	b.ReportAllocs()
	for b.Loop() {
		set.Has(ip)
	}
}
