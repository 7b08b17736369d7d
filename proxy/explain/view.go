package explain

import (
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/store"
)

// take puts the cache's explanation into e.
func (e *Explanation) take(found *cache.Explanation) {
	e.Request.Target = found.Target
	e.Client = grounds(found.Asks)
	e.Key = keyOf(found)
	if found.Refusal != "" {
		e.Refused = &Refusal{By: beforeCache, Status: found.Status, Detail: found.Refusal}
		return
	}
	e.Decision = decisionOf(found)
	if found.Stored != nil {
		e.Stored = storedOf(found.Stored, found.Now)
	}
	for _, v := range found.Other {
		e.Variants = append(e.Variants, Variant{Vary: varies(v.Vary), Purged: v.Purged, Cookie: v.Cookie})
	}
	e.Answer = &Reply{Hit: found.Outcome.Hit, Status: found.Status, CacheStatus: found.CacheStatus, Whole: found.Whole}
	if found.Coding.Known {
		e.Coding = codingOf(&found.Coding)
	}
	e.respond(found)
}

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

func grounds(list []cachepolicy.Ground) []Ground {
	var out []Ground
	for _, g := range list {
		out = append(out, Ground(g))
	}
	return out
}

func keyOf(found *cache.Explanation) *Key {
	parts, ok := found.Key.Describe()
	if !ok {
		return nil
	}
	k := &Key{Hash: hex.EncodeToString(found.Key.Hash[:8])}
	for _, p := range parts {
		k.Parts = append(k.Parts, KeyPart{Name: p.Name, Values: p.Values, Digest: p.Secret})
	}
	for _, p := range found.Params {
		k.Query = append(k.Query, Param{Param: p.Text, Kept: p.Fate.Kept(), Why: p.Fate.Sentence(), Pattern: p.Pattern})
	}
	return k
}

func decisionOf(found *cache.Explanation) *Decision {
	d := &found.Decision
	out := &Decision{
		Action: d.Action.String(), Reason: d.Reason.String(), Why: d.Reason.Sentence(), Age: seconds(d.Age), TTL: seconds(d.TTL),
		EarlyShare: found.Early, HeldDown: found.BacksOff, Alone: found.Alone, Asks: headerLines(found.Asked),
	}
	if d.Action == cachepolicy.Serve && d.Reason == cachepolicy.ReasonNone {
		out.Why = "what is stored is fresh (RFC 9111 section 4.2)"
	}
	return out
}

// headerLines returns the field lines of h, sorted.
func headerLines(h http.Header) []string {
	var lines []string
	for name, values := range h {
		for _, v := range values {
			lines = append(lines, name+": "+v)
		}
	}
	slices.Sort(lines)
	return lines
}

// flagWords names the facts of a stored response that decide about its reuse.
var flagWords = []struct {
	flag cachepolicy.Flags
	word string
}{
	{cachepolicy.FlagMustRevalidate, "must-revalidate"}, {cachepolicy.FlagNoCache, "no-cache"}, {cachepolicy.FlagImmutable, "immutable"},
	{cachepolicy.FlagHeuristic, "heuristic"}, {cachepolicy.FlagAuthorized, "authorized"}, {cachepolicy.FlagInconsistent, "inconsistent"}, {cachepolicy.FlagDeclared, "declared"},
}

func storedOf(s *cache.Stored, now time.Time) *Stored {
	m := &s.Entry.Meta
	age := m.Age(now)
	out := &Stored{
		Tier: s.Tier, Status: m.Status, Age: seconds(age), Lifetime: seconds(m.Lifetime), TTL: seconds(m.Lifetime - age),
		Revalid: seconds(m.StaleRevalid), Error: seconds(max(0, m.StaleError)), ETag: m.ETag, Stored: m.Received.UTC().Format(time.RFC3339),
		FillTime: seconds(m.FillTime), Soft: s.Soft, Doubted: s.Doubted, Tags: entry.Shown(s.Entry.Tags), Vary: varies(s.Vary), Forms: formsOf(s.Entry),
	}
	if !m.LastModified.IsZero() {
		out.Modified = m.LastModified.UTC().Format(http.TimeFormat)
	}
	for _, f := range flagWords {
		if m.Flags&f.flag != 0 {
			out.Flags = append(out.Flags, f.word)
		}
	}
	for _, span := range m.Spans {
		out.Spans = append(out.Spans, [2]int64{span.First, span.Last})
	}
	return out
}

func formsOf(e *store.Entry) (forms []Form) {
	for i := range e.Representations {
		forms = append(forms, Form{e.Representations[i].Coding.String(), e.Representations[i].Body.Size})
	}
	return forms
}

func varies(fields []cachepolicy.VaryField) (out []Vary) {
	for _, f := range fields {
		out = append(out, Vary(f))
	}
	return out
}

// respond puts the origin's response, if it is known, and the remedies into e.
func (e *Explanation) respond(found *cache.Explanation) {
	r := found.Response
	if r == nil {
		return
	}
	v, ruled := &r.Verdict, &r.Ruled
	out := &Response{
		From: fromOf(found), Status: r.Status, Header: headerLines(r.Header), Rule: r.Rule + 1, Rewritten: r.Rewritten, Effect: v.Effect.String(),
		Stores:   v.Effect == cachepolicy.Store || v.Effect == cachepolicy.Freshen || v.Effect == cachepolicy.Combine,
		Lifetime: seconds(ruled.Lifetime), Named: ruled.Source.String(), Revalid: seconds(ruled.StaleRevalid), IfError: seconds(max(0, ruled.StaleError)),
		Grounds: grounds(ruled.Grounds),
	}
	if v.Reason != cachepolicy.ReasonNone {
		out.Reason, out.Why = v.Reason.String(), v.Reason.Sentence()
	}
	if r.Err != nil {
		out.Error = r.Err.Error()
	}
	if r.Page != nil {
		out.Page = pageText(r.Page)
	}
	e.Response = out
	e.Remedies, e.YAML = remedies(r)
	e.Cacheable = r.Cacheable
}

func fromOf(found *cache.Explanation) string {
	switch r := found.Response; {
	case r.Fetched && !r.Assumed:
		return "fetched"
	case r.Assumed:
		return "assumed"
	case found.Stored != nil && found.Outcome.Hit && r.Remedies == nil && r.Verdict.Meta.Received.Equal(found.Stored.Entry.Received):
		return "stored"
	}
	return "given"
}

func pageText(p *fill.ErrorPage) string {
	s := "a body of the configuration's own"
	if p.Serve != "" {
		s = p.Serve
	}
	if p.CacheFor > 0 {
		s += ", cached for " + p.CacheFor.String()
	}
	return s
}

// codings returns the names of the members of a set.
func codings(set compress.Set) []string {
	var names []string
	for c := compress.Identity; c < compress.Unknown; c++ {
		if set.Has(c) {
			names = append(names, c.String())
		}
	}
	return names
}

// uncodedWhy holds the reason, as a sentence, why the content is not coded.
var uncodedWhy = map[compress.Reason]string{
	compress.ReasonOff: "the route does not compress (compress)", compress.ReasonStatus: "a response of this status has no content",
	compress.ReasonPartial: "it is a part of a representation", compress.ReasonCoded: "it comes coded from the origin",
	compress.ReasonNoTransform: "it says no-transform", compress.ReasonDigest: "it carries a digest or signature that coding would break",
	compress.ReasonType: "its media type is not among compress.types", compress.ReasonSize: "it is smaller than compress.min_size",
}

func codingOf(k *cache.Coding) *Coding {
	out := &Coding{Sent: k.Sent.String(), Held: codings(k.Held), Derivable: codings(k.Derivable)}
	for _, c := range k.Preferred {
		out.Route = append(out.Route, c.String())
	}
	switch {
	case !k.Accepted:
		out.Why = "the client accepts nothing of what there is, and gets it as it is (RFC 9110 section 12.5.3)"
	case k.Why != compress.ReasonNone:
		out.Why = uncodedWhy[k.Why]
	case k.Sent == compress.Identity:
		out.Why = "the client does not accept any of the route's codings, or prefers none"
	default:
		out.Why = "the best that the client accepts of the route's codings"
	}
	return out
}
