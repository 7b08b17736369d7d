package compress

import "strings"

// Accept is the relevant content of an Accept-Encoding field: the client's order of preference
// among the four codings, and the codings that it refuses. It is small and comparable, and may be
// part of a key: requests with equal Accepts get the same coding, whatever codings are available.
//
// It holds a class of three bits for each coding. Class 0 means refused. Classes 1 to 4 mean
// accepted, and a higher class is preferred.
type Accept uint16

const (
	classBits = 3
	classMask = 1<<classBits - 1
)

// IdentityOnly is the Accept of a client that accepts only an uncoded body.
const IdentityOnly = Accept(1) << (classBits * Accept(Identity))

// Negotiate chooses the coding of the answer from the available ones, according to the client's
// Accept-Encoding lines (RFC 9110 §12.5.3). If several have the same weight, the earlier one in
// prefer wins, then one that is not in prefer, and last Identity. It returns false if the client
// accepts no available coding. The caller then makes another coding, or answers uncoded or with
// 406.
//
// A client without Accept-Encoding gets only Identity: the RFC would allow any coding, but in
// practice clients without the field can't decode. A coding with a malformed weight is refused,
// since the client may not want it. A malformed weight of identity or * is ignored, since refusing
// by mistake would cost the answer. If a coding is named twice, it is refused if either member
// refuses it, and otherwise has its highest weight. Unknown is never chosen.
func Negotiate(acceptEncoding []string, have Set, prefer []Coding) (Coding, bool) {
	return Canonical(acceptEncoding).Pick(have, prefer)
}

// Accepts reports whether a client with these Accept-Encoding lines accepts a body in coding c.
func Accepts(acceptEncoding []string, c Coding) bool {
	return Canonical(acceptEncoding).Accepts(c)
}

// Accepts reports whether the client accepts a body in coding c.
func (a Accept) Accepts(c Coding) bool { return a.class(c) > 0 }

// class returns the class of c: 0 is refused, and a higher class is preferred.
func (a Accept) class(c Coding) int {
	if c >= Unknown {
		return 0
	}
	return int(a>>(classBits*c)) & classMask
}

// Pick chooses among the available codings; see [Negotiate].
func (a Accept) Pick(have Set, prefer []Coding) (Coding, bool) {
	best, found := Identity, false
	consider := func(c Coding) {
		if have.Has(c) && a.class(c) > 0 && (!found || a.class(c) > a.class(best)) {
			best, found = c, true
		}
	}
	for _, c := range prefer {
		consider(c)
	}
	for c := Unknown - 1; c > Identity; c-- {
		consider(c)
	}
	consider(Identity)
	return best, found
}

// Canonical parses Accept-Encoding lines.
func Canonical(acceptEncoding []string) Accept {
	if len(acceptEncoding) == 0 {
		return IdentityOnly
	}
	w := unlisted
	for _, line := range acceptEncoding {
		w.read(line)
	}
	return w.fold()
}

// Weights are counted in half thousandths. This leaves room below 0.001 for identity if it is not
// excluded: acceptable, but after every listed coding.
const (
	notListed   = -1
	refused     = 0
	byDefault   = 1
	weightOfOne = 2000
)

// weights holds the weights of the members of an Accept-Encoding field.
type weights struct {
	coding [codings]int
	star   int
}

// unlisted is the field without members.
var unlisted = weights{coding: [codings]int{notListed, notListed, notListed, notListed}, star: notListed}

// read adds one line.
func (w *weights) read(line string) {
	for line != "" {
		var member string
		member, line, _ = strings.Cut(line, ",")
		name, params, _ := strings.Cut(member, ";")
		w.note(trimOWS(name), params)
	}
}

// note adds one member.
func (w *weights) note(name, params string) {
	weight, ok := parseWeight(params)
	if name == "*" {
		if ok {
			w.star = merge(w.star, weight)
		}
		return
	}
	c := ParseCoding(name)
	if c == Unknown || (c == Identity && !ok) {
		return
	}
	w.coding[c] = merge(w.coding[c], weight)
}

// merge combines the weights of a coding that is named twice.
func merge(a, b int) int {
	if a == refused || b == refused {
		return refused
	}
	return max(a, b)
}

// of returns the weight of c.
func (w *weights) of(c Coding) int {
	switch {
	case w.coding[c] != notListed:
		return w.coding[c]
	case w.star != notListed:
		return w.star // §12.5.3: "*" matches any available content coding not explicitly listed
	case c == Identity:
		return byDefault // §12.5.3: uncoded is acceptable unless specifically excluded
	default:
		return refused
	}
}

// fold ranks the codings: the class of an accepted coding is 1 plus the number of different lower
// weights that are not refused.
func (w *weights) fold() Accept {
	var a Accept
	for c := Identity; c < Unknown; c++ {
		if w.of(c) == refused {
			continue
		}
		a |= Accept(1+w.distinctBelow(w.of(c))) << (classBits * c)
	}
	return a
}

// distinctBelow counts the different weights below limit that are not refused.
func (w *weights) distinctBelow(limit int) int {
	n := 0
	for c := Identity; c < Unknown; c++ {
		if v := w.of(c); v != refused && v < limit && !w.seenBefore(c) {
			n++
		}
	}
	return n
}

// seenBefore reports whether a coding before c has the same weight.
func (w *weights) seenBefore(c Coding) bool {
	for b := Identity; b < c; b++ {
		if w.of(b) == w.of(c) {
			return true
		}
	}
	return false
}

// parseWeight returns the weight among a member's parameters: 1 if there is no weight, and refused
// with false if it is malformed.
func parseWeight(params string) (int, bool) {
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(trimOWS(name), "q") {
			return parseQvalue(trimOWS(value))
		}
	}
	return weightOfOne, true
}

// parseQvalue parses a qvalue (RFC 9110 §12.4.2): 0 to 1 with at most three decimals.
func parseQvalue(s string) (int, bool) {
	if s == "" || s[0] > '1' || s[0] < '0' || len(s) > len("0.000") || (len(s) > 1 && s[1] != '.') {
		return refused, false
	}
	v, unit := int(s[0]-'0')*weightOfOne, weightOfOne/10
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return refused, false
		}
		v += int(s[i]-'0') * unit
		unit /= 10
	}
	if v > weightOfOne {
		return refused, false
	}
	return v, true
}
