package entry

import (
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// ruleMark begins the tag that names the rules by which a response was stored. Operators and
// origins cannot name such a tag.
const ruleMark = "\x02rules:"

// RuleTag returns the tag of responses that were stored under the rules with the given
// fingerprints. head is the fingerprint of the rules that write the response's head and content.
// life is that of the rules that decide how long it lasts and which codings may be made of it.
// words is that of the cache_control rules, by which a response may count as declared reusable ("":
// the route has no such rules). Other rules for sharing are part of the key.
func RuleTag(head, life, words string) string { return ruleMark + head + "." + life + "." + words }

// Current reports whether e was stored under the present rules of p. It is false after a change of
// the configuration, and for a response that an instance with another configuration has shared.
func (p *Policy) Current(e *store.Entry) bool { return rulesOf(e) == p.Tags.Rules }

// CurrentHead reports whether e was stored under the present rules of p for a response's head and
// content.
func (p *Policy) CurrentHead(e *store.Entry) bool {
	was := rulesOf(e)
	return was == p.Tags.Rules || headOf(was) == headOf(p.Tags.Rules)
}

// rulesOf returns the tag of the rules under which e was stored; "": it has no such tag.
func rulesOf(e *store.Entry) string {
	for _, tag := range e.Tags {
		if strings.HasPrefix(tag, ruleMark) {
			return tag
		}
	}
	return ""
}

// WithoutRules returns tags without the tag of rules. Use it if other rules make a new form of the
// response.
func WithoutRules(tags []string) []string {
	return slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return strings.HasPrefix(tag, ruleMark) })
}

// headOf, lifeOf and wordsOf return the fingerprints in a tag.
func headOf(tag string) string {
	head, _, _ := strings.Cut(strings.TrimPrefix(tag, ruleMark), ".")
	return head
}

func lifeOf(tag string) string {
	_, rest, _ := strings.Cut(strings.TrimPrefix(tag, ruleMark), ".")
	life, _, _ := strings.Cut(rest, ".")
	return life
}

func wordsOf(tag string) string {
	_, rest, _ := strings.Cut(strings.TrimPrefix(tag, ruleMark), ".")
	_, words, _ := strings.Cut(rest, ".")
	return words
}

// UnderRules returns the decision about e, given the rules' own decision d. e may be nil. If other
// rules have written the head of e, the response is fetched anew, and e is served only if the
// origin fails. Such a response is not validated, because its head does not show the head that the
// origin sent.
func (p *Policy) UnderRules(e *store.Entry, d cachepolicy.Decision) cachepolicy.Decision {
	if e == nil || d.Action == cachepolicy.Pass || d.Action == cachepolicy.Refuse || p.CurrentHead(e) {
		return d
	}
	d.Action, d.Reason, d.Ask, d.HasAsk = cachepolicy.Fetch, cachepolicy.ReasonStale, cachepolicy.Span{}, false
	return d
}

// Rejudged returns e as the present rules of p would store it, with their lifetime and their
// codings. e may be nil. It returns e itself if these rules are unchanged, and nil if they would
// not store it. It also returns nil if a cache_control rule may have declared e reusable and was
// since changed or removed: then e may be one client's own, and must not answer another client even
// if the origin fails.
func (p *Policy) Rejudged(e *store.Entry, chance float64) *store.Entry {
	if e == nil || p.Current(e) {
		return e
	}
	was := rulesOf(e)
	if words := wordsOf(was); words != "" && words != wordsOf(p.Tags.Rules) {
		return nil
	}
	if lifeOf(was) == lifeOf(p.Tags.Rules) {
		return e
	}
	h := HeaderOf(e)
	meta, ok := p.Rules.Rejudge(e.Meta, h, chance)
	if !ok {
		return nil
	}
	now := copyOf(e)
	now.Meta = meta
	now.Tags = append(WithoutRules(e.Tags), RuleTag(headOf(was), lifeOf(p.Tags.Rules), wordsOf(was)))
	p.chooseCodings(now)
	return now
}

// chooseCodings sets the codings that may be made of e to the codings that p offers now, and drops
// representations in other codings.
func (p *Policy) chooseCodings(e *store.Entry) {
	first := e.Representations[0]
	if !e.Complete() || !BodyAllowed(e.Status) || e.Flags&cachepolicy.FlagSubstitute != 0 {
		return
	}
	h := first.Header()
	e.Derivable = p.Derivable(e.Status, h, first.Body.Size, first.Coding)
	if e.Derivable != 0 {
		compress.AddVary(h)
		first.Head = buildHead(e.Status, h)
	}
	kept := []store.Representation{first}
	for _, rep := range e.Representations[1:] {
		if e.Derivable.Has(rep.Coding) {
			kept = append(kept, rep)
		}
	}
	e.Representations = kept
}

// StaleDecision returns the decision to serve e for the reason why. e need not be fresh. If the
// route's rules have changed since e's head was written, e has no lifetime left.
func (p *Policy) StaleDecision(e *store.Entry, now time.Time, why cachepolicy.Reason) cachepolicy.Decision {
	age := e.Age(now)
	ttl := e.Lifetime - age
	if !p.CurrentHead(e) {
		ttl = min(ttl, 0)
	}
	return cachepolicy.Decision{Action: cachepolicy.ServeStale, Reason: why, Age: age, TTL: ttl}
}
