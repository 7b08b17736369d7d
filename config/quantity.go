package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// decimal reports whether s is a decimal number without sign and exponent.
func decimal(s string) bool { return decimalNumber.MatchString(s) }

var (
	decimalNumber = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	durationText  = regexp.MustCompile(`^(?:([0-9]+(?:\.[0-9]+)?)d)?((?:[0-9]+(?:\.[0-9]+)?(?:h|m|s|ms|us|µs|μs|ns))*)$`)
	rateText      = regexp.MustCompile(`^([0-9]+)/([smhd])$`)
	sizeText      = regexp.MustCompile(`^([0-9]+) ?([A-Za-z]*)$`)
)

var durationScalar = scalar{
	name:  "a duration",
	read:  readDuration,
	print: func(v any) string { return printDuration(v.(time.Duration)) },
	schema: map[string]any{"anyOf": []any{
		map[string]any{"type": "string", "pattern": `^(0|([0-9]+(\.[0-9]+)?(d|h|m|s|ms|us|µs|μs|ns))+)$`},
		map[string]any{"const": 0},
	}},
	quoted: true,
}

// readDuration reads Go's duration syntax with the additional unit d, which is 24 hours.
func readDuration(n *node) (any, *problem) {
	p := problemf("%s is not a duration", n.quoted())
	if n.text == "0" {
		return time.Duration(0), nil
	}
	if decimal(n.text) {
		return nil, p.or("write %ss", clip(n.source))
	}
	m := durationText.FindStringSubmatch(n.text)
	if m == nil || n.text == "" {
		return nil, p.or("such as 250ms, 30s, 10m or 7d")
	}
	var total time.Duration
	if m[1] != "" {
		days, err := strconv.ParseFloat(m[1], 64)
		if err != nil || days*24 > math.MaxInt64/float64(time.Hour)/2 {
			return nil, problemf("the duration %s is too long", n.quoted())
		}
		total = time.Duration(math.Round(days * float64(24*time.Hour)))
	}
	if m[2] != "" {
		rest, err := time.ParseDuration(m[2])
		if err != nil || rest > math.MaxInt64/2 {
			return nil, problemf("the duration %s is too long", n.quoted())
		}
		total += rest
	}
	return total, nil
}

// printDuration formats a duration without Go's trailing zero units.
func printDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// unit is a power of two in which sizes are written.
type unit struct {
	name  string
	bytes int64
}

// units begin with the largest, so that printing finds the shortest form first.
var units = []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

var sizeScalar = scalar{
	name:  "a size",
	read:  readSize,
	print: func(v any) string { return printSize(v.(int64)) },
	schema: map[string]any{"anyOf": []any{
		map[string]any{"type": "string", "pattern": `^[0-9]+ ?(|B|KiB|MiB|GiB|TiB)$`},
		map[string]any{"type": "integer", "minimum": 0},
	}},
}

// readSize reads a number of bytes.
func readSize(n *node) (any, *problem) {
	p := problemf("%s is not a size", n.quoted())
	m := sizeText.FindStringSubmatch(n.text)
	if m == nil {
		return nil, p.or("such as 512KiB, 8MiB, 2GiB or a whole number of bytes")
	}
	factor, ok := unitBytes(m[2])
	if !ok {
		return nil, p.or("%s", unitHint(m[1], m[2]))
	}
	count, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || count > math.MaxInt64/factor {
		return nil, problemf("the size %s is too large", n.quoted())
	}
	return count * factor, nil
}

// unitBytes returns the number of bytes in a unit.
func unitBytes(name string) (int64, bool) {
	if name == "" {
		return 1, true
	}
	for _, u := range units {
		if u.name == name {
			return u.bytes, true
		}
	}
	return 0, false
}

// unitHint returns the correct form of a size with an unknown unit, such as 8MB, 8mb or 8M.
func unitHint(count, name string) string {
	if i := strings.IndexByte("KMGT", name[0]&^0x20); i >= 0 {
		return "write " + clip(count) + units[len(units)-2-i].name
	}
	return "units: KiB, MiB, GiB, TiB"
}

// printSize writes a size in the largest unit that divides it.
func printSize(bytes int64) string {
	for _, u := range units {
		if bytes >= u.bytes && bytes%u.bytes == 0 && u.bytes > 1 {
			return strconv.FormatInt(bytes/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(bytes, 10)
}

var shareScalar = scalar{
	name:   "a share",
	read:   readShare,
	print:  func(v any) string { return printShare(v.(float64)) },
	schema: map[string]any{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?%$`},
	quoted: true,
}

// readShare reads a percentage from 0% to 100%.
func readShare(n *node) (any, *problem) {
	p := problemf("%s is not a share", n.quoted())
	number, ok := strings.CutSuffix(n.text, "%")
	if !ok || !decimal(number) {
		if f, err := strconv.ParseFloat(n.text, 64); err == nil && f >= 0 && f <= 1 && n.text == n.source {
			return nil, p.or("write %s", printShare(f))
		}
		return nil, p.or("such as 10%%")
	}
	f, err := strconv.ParseFloat(number+"e-2", 64) // shift the decimal digits: 7% must become the same number as 0.07
	if err != nil || f > 1 {
		return nil, problemf("%s is out of range", n.quoted()).or("from 0%% to 100%%")
	}
	return f, nil
}

// printShare moves the decimal point by two digits, so that reading returns the same number.
func printShare(share float64) string {
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(share, 'f', -1, 64), ".")
	for len(fraction) < 2 {
		fraction += "0"
	}
	digits := strings.TrimLeft(whole+fraction[:2], "0")
	if digits == "" {
		digits = "0"
	}
	if fraction[2:] != "" {
		digits += "." + fraction[2:]
	}
	return digits + "%"
}

var rateScalar = scalar{
	name:   "a rate",
	read:   readRate,
	print:  func(v any) string { return v.(Rate).String() },
	schema: map[string]any{"type": "string", "pattern": `^[0-9]+/[smhd]$`},
	quoted: true,
}

// rateUnits are the times of rates, by their letters.
var rateUnits = []struct {
	letter string
	per    time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}}

// maxPerSecond is the greatest rate. Its requests are a microsecond apart.
const maxPerSecond = 1_000_000

// readRate reads a number of requests in a unit of time.
func readRate(n *node) (any, *problem) {
	p := problemf("%s is not a rate", n.quoted())
	m := rateText.FindStringSubmatch(n.text)
	if m == nil {
		if decimal(n.text) && !strings.Contains(n.text, ".") {
			return nil, p.or("write %s/s for requests in a second", clip(n.text))
		}
		return nil, p.or("a whole number of requests in a second, minute, hour or day, such as 100/s, 90/m, 1000/h or 10000/d")
	}
	r := Rate{}
	for _, u := range rateUnits {
		if u.letter == m[2] {
			r.Per = u.per
		}
	}
	count, err := strconv.ParseInt(m[1], 10, 64)
	switch {
	case err == nil && count == 0:
		return nil, problemf("a rate of 0 would refuse each request").or("at least 1/d")
	case err != nil || count > maxPerSecond*int64(r.Per/time.Second) || int64(int(count)) != count:
		return nil, problemf("the rate %s is too high", n.quoted()).or("at most %d/s", maxPerSecond)
	}
	r.Requests = int(count)
	return r, nil
}

// String formats r as in the file.
func (r Rate) String() string {
	for _, u := range rateUnits {
		if u.per == r.Per {
			return strconv.Itoa(r.Requests) + "/" + u.letter
		}
	}
	return ""
}

// Every returns the time between two requests at the rate, in whole nanoseconds. It is rounded up,
// so that a limit never allows more than the rate.
func (r Rate) Every() time.Duration {
	return (r.Per + time.Duration(r.Requests) - 1) / time.Duration(r.Requests)
}
