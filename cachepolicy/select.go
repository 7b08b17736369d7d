package cachepolicy

import "strings"

// Select gives the index of the response in stored that is to answer q, or be validated for it: the newest of those whose Vary
// matches (RFC 9111 §4.1). Failing that, the newest that is in the one language q prefers. -1: none.
func Select[E interface{ Facts() *Meta }](q *Request, stored []E) int {
	best := -1
	var facts *Meta
	for i, e := range stored {
		if m := e.Facts(); (facts == nil || m.newerThan(facts)) && m.Vary.Matches(q) {
			best, facts = i, m
		}
	}
	if best >= 0 || len(q.Header["Accept-Language"]) == 0 {
		return best
	}
	return selectLanguage(q, stored)
}

// selectLanguage finds the newest response that differs from q in Accept-Language alone, yet is in the very language that q prefers
// to all others. The origin has that language, and lookup takes the first choice where there is one (RFC 4647 §3.4), so its answer
// would be the same. A shorter or longer tag is not taken: the origin may have one that fits better and is not stored.
func selectLanguage[E interface{ Facts() *Meta }](q *Request, stored []E) int {
	language, ok := preferredLanguage(q.Header["Accept-Language"])
	if !ok {
		return -1
	}
	best := -1
	var facts *Meta
	for i, e := range stored {
		m := e.Facts()
		if (facts == nil || m.newerThan(facts)) && strings.EqualFold(m.Language, language) && m.Vary.matchesButLanguage(q) {
			best, facts = i, m
		}
	}
	return best
}

// matchesButLanguage is Matches with Accept-Language, which must be among the fields, left out of account.
func (v Vary) matchesButLanguage(q *Request) bool {
	varies := false
	for v != "" {
		s, rest, ok := v.next()
		switch {
		case !ok:
			return false
		case s.name == "Accept-Language":
			varies = true
		case !s.matches(q.Header[s.name]):
			return false
		}
		v = rest
	}
	return varies
}

// newerThan reports whether m was stored after o. Date tells where the order of storing doesn't (RFC 9111 §4.1).
func (m *Meta) newerThan(o *Meta) bool {
	if m.Seq != o.Seq {
		return m.Seq > o.Seq
	}
	return m.Date.After(o.Date)
}
