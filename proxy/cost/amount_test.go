package cost

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAmounts checks the cost of bytes and requests, to the cent.
func TestAmounts(t *testing.T) {
	const usd = 1_000_000
	for _, c := range []struct {
		name string
		got  Amount
		want string
	}{
		{"nothing", Amount{}, "0.00"},
		{"1 GB at 0.09", amountOf(1e9, 90_000, unitsPerBytePrice), "0.09"},
		{"123 456 789 012 bytes at 0.09: 11.11111101108", amountOf(123_456_789_012, 90_000, unitsPerBytePrice), "11.11"},
		{"half a cent is rounded up", amountOf(500_000_000, 10_000, unitsPerBytePrice), "0.01"},
		{"a byte less is not", amountOf(499_999_999, 10_000, unitsPerBytePrice), "0.00"},
		{"a million requests at 0.60", amountOf(1e6, 600_000, unitsPerRequestPrice), "0.60"},
		{"one request", amountOf(1, 600_000, unitsPerRequestPrice), "0.00"},
		{"all bytes there are at the highest price", amountOf(1<<64-1, 10_000_000_000*usd, unitsPerBytePrice), "184467440737095516150.00"},
		{"a budget", Whole(10_000 * usd), "10000.00"},
		{"a sum of amounts too small to show", amountOf(4e8, 10_000, unitsPerBytePrice).Plus(amountOf(4e8, 10_000, unitsPerBytePrice)), "0.01"},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if got := amountOf(1, 600_000, unitsPerRequestPrice).Micros(); got != 1 { // 0.6 millionths
		t.Errorf("one request: %d millionths", got)
	}
}

// TestAmountsAreExact compares sums with rational numbers.
func TestAmountsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sum, want := Amount{}, new(big.Rat)
		for range rapid.IntRange(1, 20).Draw(t, "lines") {
			n, price := rapid.Uint64().Draw(t, "n"), rapid.Int64Range(0, 1e16).Draw(t, "price")
			per, units := int64(1e9), int64(unitsPerBytePrice)
			if rapid.Bool().Draw(t, "requests") {
				per, units = 1e6, unitsPerRequestPrice
			}
			sum = sum.Plus(amountOf(n, Micros(price), units))
			one := new(big.Rat).SetFrac(new(big.Int).SetUint64(n), big.NewInt(per))
			want.Add(want, one.Mul(one, big.NewRat(price, 1e6)))
		}
		if got := sum.String(); got != want.FloatString(2) { // FloatString also rounds halves away from zero
			t.Errorf("%s, want %s", got, want.FloatString(2))
		}
	})
}

func TestShares(t *testing.T) {
	for fraction, want := range map[float64]string{0.8: "80%", 1: "100%", 0.125: "12.5%", 0.07: "7%", 0.0001: "0.01%", 0: "0%"} {
		s := ShareOf(fraction)
		var back Share
		if err := back.UnmarshalText([]byte(s.String())); s.String() != want || back != s || err != nil {
			t.Errorf("%v: %s and back %s, want %s", fraction, s, back, want)
		}
	}
}

// TestCrossing checks that a share is crossed when it is reached exactly, and not before.
func TestCrossing(t *testing.T) {
	b := &Budget{Monthly: 10_000_000, AlertAt: []Share{ShareOf(0.8), ShareOf(1)}}
	for bytes, want := range map[uint64]int{0: 0, 7_999_999_999: 0, 8_000_000_000: 1, 9_999_999_999: 1, 10_000_000_000: 2, 1 << 60: 2} {
		if got := len(b.crossed(amountOf(bytes, 1_000_000, unitsPerBytePrice))); got != want {
			t.Errorf("%d bytes cross %d shares, want %d", bytes, got, want)
		}
	}
}

func TestProjection(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ name, since, now, want string }{
		{"half of November", "2026-10-01T00:00:00Z", "2026-11-16T00:00:00Z", "20.00"},
		{"an account that began on the 11th", "2026-11-11T00:00:00Z", "2026-11-21T00:00:00Z", "20.00"}, // 10 in 10 days, with 20 days in the account
		{"the last second", "2026-11-01T00:00:00Z", "2026-11-30T23:59:59Z", "10.00"},
		{"a month that is over", "2026-11-01T00:00:00Z", "2026-12-07T00:00:00Z", "10.00"},
		{"too early", "2026-11-24T10:00:00Z", "2026-11-24T10:00:59Z", ""},
		{"early", "2026-11-30T23:00:00Z", "2026-11-30T23:01:00Z", "600.00"},
	} {
		got, ok := projected(Whole(10_000_000), "2026-11", at(c.since), at(c.now))
		if text := got.String(); ok != (c.want != "") || ok && text != c.want {
			t.Errorf("%s: %s %v, want %s", c.name, text, ok, c.want)
		}
	}
}
