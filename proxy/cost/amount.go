package cost

import (
	"math"
	"math/big"
)

// Micros is an amount of money in millionths of its currency, the unit of prices and budgets.
type Micros int64

// Amount is a sum of money in units of 10⁻¹⁵ of its currency. The cost of one byte, at a price in
// millionths per 10⁹ bytes, is a whole number of units. So is the cost of one request, at a price
// in millionths per 10⁶ requests. Sums are therefore exact. The zero Amount is zero.
type Amount struct{ units *big.Int }

const (
	unitsPerMicro        = 1_000_000_000
	bytesPerGB           = 1_000_000_000
	perMillion           = 1_000_000
	unitsPerBytePrice    = unitsPerMicro / bytesPerGB // per byte and millionth of the price
	unitsPerRequestPrice = unitsPerMicro / perMillion // per request and millionth of the price
)

// microsPerCent is the number of millionths in the unit to which shown amounts are rounded.
const microsPerCent = 10_000

func (a Amount) value() *big.Int {
	if a.units == nil {
		return new(big.Int)
	}
	return a.units
}

// amountOf returns n times price, where n items at a price of one millionth cost n times units.
func amountOf(n uint64, price Micros, units int64) Amount {
	v := new(big.Int).SetUint64(n)
	v.Mul(v, big.NewInt(int64(price)))
	return Amount{v.Mul(v, big.NewInt(units))}
}

// Whole converts an amount in millionths.
func Whole(m Micros) Amount { return amountOf(1, m, unitsPerMicro) }

// Plus returns the sum.
func (a Amount) Plus(b Amount) Amount { return Amount{new(big.Int).Add(a.value(), b.value())} }

// Cmp returns -1, 0 or 1.
func (a Amount) Cmp(b Amount) int { return a.value().Cmp(b.value()) }

// scaled returns a times n/d, rounded to the unit. d must be positive.
func (a Amount) scaled(n, d int64) Amount {
	v := new(big.Int).Mul(a.value(), big.NewInt(n))
	return Amount{roundedQuotient(v, big.NewInt(d))}
}

// Share returns a/b, or 0 if b is zero. It is for display, not for calculation.
func (a Amount) Share(b Amount) float64 {
	if b.value().Sign() == 0 {
		return 0
	}
	share, _ := new(big.Rat).SetFrac(a.value(), b.value()).Float64()
	return share
}

// roundedQuotient returns n/d rounded to the nearest integer, and halves away from zero, as in
// invoices.
func roundedQuotient(n, d *big.Int) *big.Int {
	twice := new(big.Int).Mul(new(big.Int).Abs(n), big.NewInt(2))
	q := twice.Add(twice, d)
	q.Quo(q, new(big.Int).Mul(d, big.NewInt(2)))
	if n.Sign() < 0 {
		q.Neg(q)
	}
	return q
}

// Micros returns a in millionths, rounded.
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

// String returns a with two decimals, as in 1234.05.
func (a Amount) String() string {
	cents := roundedQuotient(a.value(), big.NewInt(unitsPerMicro*microsPerCent))
	whole, rest := new(big.Int).QuoRem(new(big.Int).Abs(cents), big.NewInt(100), new(big.Int))
	text := whole.String() + "." + string([]byte{byte('0' + rest.Int64()/10), byte('0' + rest.Int64()%10)})
	if cents.Sign() < 0 {
		return "-" + text
	}
	return text
}
