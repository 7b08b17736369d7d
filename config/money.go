package config

import (
	"math/big"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// Money is an amount of money in millionths of its currency, so that prices stay exact.
type Money int64

const (
	moneyDigits = 6              // after the decimal point
	maxMoney    = 10_000_000_000 // in units of the currency; its millionths fit into 64 bits many times
)

var moneyType = reflect.TypeFor[Money]()

var moneyScalar = scalar{
	name:   "an amount of money",
	read:   readMoney,
	print:  func(v any) string { return v.(Money).String() },
	schema: map[string]any{"type": "number", "minimum": 0, "maximum": maxMoney},
}

// readMoney reads a decimal number without converting it to a binary one.
func readMoney(n *node) (any, *problem) {
	if !n.plain || !decimal(n.text) {
		return nil, problemf("%s is not an amount of money", n.quoted()).or("such as 0.09, without quotes and currency")
	}
	whole, fraction, _ := strings.Cut(n.text, ".")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > moneyDigits {
		return nil, problemf("%s has more than %d digits after the decimal point", n.quoted(), moneyDigits)
	}
	digits := whole + fraction + strings.Repeat("0", moneyDigits-len(fraction))
	v, ok := new(big.Int).SetString(digits, 10)
	if !ok || v.Cmp(big.NewInt(maxMoney*1_000_000)) > 0 {
		return nil, problemf("%s is out of range", n.quoted()).or("from 0 to %d", int64(maxMoney))
	}
	return Money(v.Int64()), nil
}

// String formats m as in the file, without trailing zeros.
func (m Money) String() string {
	fraction := strconv.FormatInt(int64(m)%1_000_000+1_000_000, 10)[1:]
	return strings.TrimRight(strings.TrimRight(strconv.FormatInt(int64(m)/1_000_000, 10)+"."+fraction, "0"), ".")
}

var currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)

func readCurrency(s string) (string, *problem) {
	if currencyPattern.MatchString(s) {
		return s, nil
	}
	if upper := strings.ToUpper(s); currencyPattern.MatchString(upper) {
		return "", not("").or("write %s", upper)
	}
	return "", not("three capital letters, such as USD")
}

// readStateFile accepts "", which means no file.
func readStateFile(s string) (string, *problem) {
	if strings.ContainsRune(s, 0) || strings.HasSuffix(s, "/") {
		return "", not("")
	}
	return s, nil
}

// readWebhook reads the URL of a webhook. Its messages never quote the URL, because it is usually a
// secret.
func readWebhook(s string) (string, *problem) {
	if s == "" {
		return "", nil
	}
	p := problemf("the value is not the URL of a webhook").or("such as https://hooks.example.com/budget")
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https":
		return "", p
	case u.Fragment != "":
		return "", problemf("a webhook's URL has no fragment")
	}
	if checkHostPort(u) != nil {
		return "", p
	}
	return s, nil
}
