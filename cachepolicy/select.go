package cachepolicy

import "strings"

// Select returns the index of the stored response that may answer q, or be validated for it: the
// newest one whose Vary matches (RFC 9111 §4.1). If none matches, it chooses the newest one in the
// single language that q prefers. It returns -1 if there is no such response.
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

// selectLanguage returns the index of the newest response that differs from q only in
// Accept-Language and is in exactly the language that q prefers to all others. The origin has that
// language, and lookup takes the first choice if it exists (RFC 4647 §3.4), so the origin's answer
// would be the same. selectLanguage does not accept a shorter or longer tag, because the origin may
// have a better match that is not stored.
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

// matchesButLanguage is Matches without Accept-Language, which must be one of v's fields.
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

// newerThan reports whether m was stored after o. If the order of storing does not tell, Date
// decides (RFC 9111 §4.1).
func (m *Meta) newerThan(o *Meta) bool {
	if m.Seq != o.Seq {
		return m.Seq > o.Seq
	}
	return m.Date.After(o.Date)
}
