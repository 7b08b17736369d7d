package cachepolicy

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// preference is one member of Accept-Encoding or Accept-Language: a coding or a language range, and
// its weight in thousandths (RFC 9110 §12.4.2).
type preference struct {
	tag    string
	weight int
}

// appendPreferences appends the normal form of Accept-Encoding or Accept-Language. Case, spacing
// and the order of members have no meaning there, only the weights have (RFC 9110 §12.5.3,
// §12.5.4). If a value is malformed or names a member twice, it keeps its order.
func appendPreferences(dst []byte, lines []string) []byte {
	var space [16]preference
	list, ok := parsePreferences(space[:0], lines)
	if !ok {
		return appendMembers(dst, lines, foldAll)
	}
	slices.SortFunc(list, comparePreferences)
	for i := 1; i < len(list); i++ {
		if strings.EqualFold(list[i-1].tag, list[i].tag) {
			return appendMembers(dst, lines, foldAll)
		}
	}
	slices.SortStableFunc(list, func(a, b preference) int { return cmp.Compare(b.weight, a.weight) })
	for i, p := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.append(dst)
	}
	return dst
}

// append appends the member in lower case. It appends the weight unless that is 1.
func (p preference) append(dst []byte) []byte {
	for i := range len(p.tag) {
		dst = append(dst, lowerByte(p.tag[i]))
	}
	switch {
	case p.weight == 1000:
		return dst
	case p.weight == 0:
		return append(dst, ";q=0"...)
	}
	var space [4]byte
	digits := strconv.AppendInt(space[:0], int64(1000+p.weight), 10)[1:]
	for digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	dst = append(dst, ";q=0."...)
	return append(dst, digits...)
}

// comparePreferences orders by tag and ignores case.
func comparePreferences(a, b preference) int {
	for i := range min(len(a.tag), len(b.tag)) {
		if c := cmp.Compare(lowerByte(a.tag[i]), lowerByte(b.tag[i])); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a.tag), len(b.tag))
}

// parsePreferences appends the members of all lines to list. It reports false if one of them is
// malformed.
func parsePreferences(list []preference, lines []string) ([]preference, bool) {
	for _, line := range lines {
		for more := true; more; {
			var member string
			member, line, more = strings.Cut(line, ",")
			if member = trimOWS(member); member == "" {
				continue // RFC 9110 §5.6.1.2
			}
			p, ok := parsePreference(member)
			if !ok {
				return nil, false
			}
			list = append(list, p)
		}
	}
	return list, true
}

func parsePreference(member string) (preference, bool) {
	tag, weight, weighted := strings.Cut(member, ";")
	p := preference{tag: trimOWS(tag), weight: 1000}
	if !isToken(p.tag) {
		return preference{}, false
	}
	if !weighted {
		return p, true
	}
	weight = trimOWS(weight)
	if len(weight) < 3 || lowerByte(weight[0]) != 'q' || weight[1] != '=' {
		return preference{}, false
	}
	var ok bool
	p.weight, ok = parseWeight(weight[2:])
	return p, ok
}

// parseWeight reads a qvalue, 0 to 1 with up to three decimals, and returns thousandths (RFC 9110
// §12.4.2).
func parseWeight(s string) (int, bool) {
	whole, decimals, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(decimals) > 3 {
		return 0, false
	}
	n := int(whole[0] - '0')
	for i := range 3 {
		d := byte('0')
		if i < len(decimals) {
			d = decimals[i]
		}
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int(d-'0')
	}
	return n, n <= 1000
}

// preferredLanguage returns the language that the Accept-Language lines prefer to all others (RFC
// 4647 §3.4, RFC 9110 §12.5.4). It reports false if two languages share the greatest weight, if "*"
// has it, if the field refuses all languages, or if it is malformed.
func preferredLanguage(lines []string) (string, bool) {
	var space [16]preference
	list, ok := parsePreferences(space[:0], lines)
	if !ok {
		return "", false
	}
	best, alone := preference{}, false
	for _, p := range list {
		switch {
		case p.weight > best.weight:
			best, alone = p, true
		case p.weight == best.weight:
			alone = false
		}
	}
	return best.tag, alone && best.tag != "*"
}
