package config

import (
	"testing"

	"pgregory.net/rapid"
)

// TestMoney checks that a price keeps every digit.
func TestMoney(t *testing.T) {
	read := func(text string) (Money, string) {
		v, p := readMoney(&node{text: text, source: text, plain: true})
		if p != nil {
			return 0, p.message
		}
		return v.(Money), ""
	}
	for text, want := range map[string]Money{
		"0": 0, "0.0": 0, "1": 1_000_000, "0.09": 90_000, "0.60": 600_000, "0.000001": 1, "0.1000000000": 100_000, "10000": 10_000_000_000,
		"007.5": 7_500_000, "10000000000": 10_000_000_000_000_000,
	} {
		if got, bad := read(text); got != want || bad != "" {
			t.Errorf("%s: %d %s, want %d", text, got, bad, want)
		}
	}
	for _, text := range []string{"", "-1", "+1", ".5", "1.", "1e3", "0x10", "0.0000001", "10000000000.000001", "99999999999999999999999", "NaN", "1,5"} {
		if got, bad := read(text); bad == "" {
			t.Errorf("%q is read as %d", text, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		m := Money(rapid.Int64Range(0, maxMoney*1_000_000).Draw(t, "money"))
		if got, bad := read(m.String()); got != m {
			t.Errorf("%d is written %s and read %d %s", m, m, got, bad)
		}
	})
}
