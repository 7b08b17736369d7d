package cost

import (
	"math"
	"math/big"
)

// Micros is an amount of money in millionths of its currency, as prices and budgets are given.
type Micros int64

// Amount is a sum of money in units of 10⁻¹⁵ of its currency: a byte at a price in millionths for 10⁹ of them is a whole number of these,
// as is a request at one in millionths for 10⁶. So sums are exact. The zero Amount is nothing.
type Amount struct{ units *big.Int }

const (
	unitsPerMicro        = 1_000_000_000
	bytesPerGB           = 1_000_000_000
	perMillion           = 1_000_000
	unitsPerBytePrice    = unitsPerMicro / bytesPerGB // for each byte and millionth of its price
	unitsPerRequestPrice = unitsPerMicro / perMillion // for each request and millionth of its price
)

// cents are what amounts are rounded to: millionths of the currency.
const microsPerCent = 10_000

func (a Amount) value() *big.Int {
	if a.units == nil {
		return new(big.Int)
	}
	return a.units
}

// amountOf is n times price, in the given units for each.
func amountOf(n uint64, price Micros, units int64) Amount {
	v := new(big.Int).SetUint64(n)
	v.Mul(v, big.NewInt(int64(price)))
	return Amount{v.Mul(v, big.NewInt(units))}
}

// Whole is an amount given in millionths.
func Whole(m Micros) Amount { return amountOf(1, m, unitsPerMicro) }

// Plus is the sum.
func (a Amount) Plus(b Amount) Amount { return Amount{new(big.Int).Add(a.value(), b.value())} }

// Cmp compares as -1, 0 and 1.
func (a Amount) Cmp(b Amount) int { return a.value().Cmp(b.value()) }

// Scaled is a times n/d, d above nothing, rounded to the unit.
func (a Amount) scaled(n, d int64) Amount {
	v := new(big.Int).Mul(a.value(), big.NewInt(n))
	return Amount{roundedQuotient(v, big.NewInt(d))}
}

// Share is a as a share of b; 0 where b is nothing. It is for showing, not for reckoning.
func (a Amount) Share(b Amount) float64 {
	if b.value().Sign() == 0 {
		return 0
	}
	share, _ := new(big.Rat).SetFrac(a.value(), b.value()).Float64()
	return share
}

// roundedQuotient is n/d rounded to the nearest, halves away from nothing, as invoices do.
func roundedQuotient(n, d *big.Int) *big.Int {
	twice := new(big.Int).Mul(new(big.Int).Abs(n), big.NewInt(2))
	q := twice.Add(twice, d)
	q.Quo(q, new(big.Int).Mul(d, big.NewInt(2)))
	if n.Sign() < 0 {
		q.Neg(q)
	}
	return q
}

// Micros is a in millionths, rounded.
func (a Amount) Micros() Micros {
	q := roundedQuotient(a.value(), big.NewInt(unitsPerMicro))
	if !q.IsInt64() {
		if q.Sign() < 0 {
			return math.MinInt64
		}
		return math.MaxInt64
	}
	return Micros(q.Int64())
}

// String is a to the cent, as in 1234.05.
func (a Amount) String() string {
	cents := roundedQuotient(a.value(), big.NewInt(unitsPerMicro*microsPerCent))
	whole, rest := new(big.Int).QuoRem(new(big.Int).Abs(cents), big.NewInt(100), new(big.Int))
	text := whole.String() + "." + string([]byte{byte('0' + rest.Int64()/10), byte('0' + rest.Int64()%10)})
	if cents.Sign() < 0 {
		return "-" + text
	}
	return text
}
