package cache

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Inquiry is what an Explainer is asked beside the request, and where it leaves its answer.
type Inquiry struct {
	// Response is what the origin is taken to answer, as it comes from there; its body is not read. nil: nothing is known of it.
	Response *http.Response
	// Fetch has the origin asked instead, for a GET or HEAD. What it answers is not stored.
	Fetch bool
	// Found is set by the Explainer, unless something in front of it answers the request.
	Found *Explanation
}

type questionKey struct{}

// WithQuestion returns a context that carries q to an Explainer.
func WithQuestion(ctx context.Context, q *Inquiry) context.Context {
	return context.WithValue(ctx, questionKey{}, q)
}

// Explanation says what the cache does with a request, and by what.
type Explanation struct {
	Rules   *cachepolicy.Rules
	Request cachepolicy.Request
	Now     time.Time

	// Refusal is why the request has no target upstream, and goes no further; "": it has one.
	Refusal string
	// Target is the upstream's path and query.
	Target string
	// Key is set for a request that may be answered from the cache.
	Key    cachepolicy.Key
	Params []cachepolicy.Param
	Asks   []cachepolicy.Ground // the request's own directives
	Stored *Stored              // what it selects of what is stored; nil: nothing
	Other  []Variant            // what is stored under the key beside it
	// Decision is what Decide says of it; it is there where the request has a key.
	Decision cachepolicy.Decision
	// Early is the share of such requests that refresh what is stored ahead of its end.
	Early float64
	// HeldDown is set when the origin failed a moment ago and is not asked again just now.
	HeldDown bool
	// Alone is set when such responses proved to be for one client alone: nobody waits for another's call.
	Alone bool
	// Asked are the fields that a fill adds to the request: conditions, or the range that is missing.
	Asked http.Header

	// Response is what is known of the origin's answer; nil: nothing, or it is not asked.
	Response *Response
	// Outcome is what Cache-Status is going to say. Whole is false where that depends on an answer of the origin which is not known.
	Outcome cachepolicy.Outcome
	Whole   bool
	// Status is that of the client's answer; 0: not known.
	Status int
	// Coding is how the content is sent.
	Coding Coding
	// CacheStatus is the field's value as far as it is known.
	CacheStatus string
}

// Stored is a stored response as an explanation shows it.
type Stored struct {
	Tier  string
	Entry *store.Entry
	Soft  bool // a soft purge has ended its life
	Vary  []cachepolicy.VaryField
}

// Variant is a stored response that the request does not get.
type Variant struct {
	Vary   []cachepolicy.VaryField
	Purged bool
}

// Response is the origin's answer, and what Settle and its steps make of it.
type Response struct {
	Assumed bool // nothing is known of it: it is taken for a 200 that says nothing of caching
	Fetched bool
	Err     error // why there is none
	Status  int
	Header  http.Header // after the route's changes
	// Rule is the index of the cache_control rule that holds for it, -1 for none; Rewritten says whether it changed anything.
	Rule      int
	Rewritten bool
	Page      *ErrorPage // takes its place
	Verdict   cachepolicy.Verdict
	Ruled     cachepolicy.Ruled
	Remedies  []cachepolicy.Remedy
	Cacheable bool // with the remedies, if there are any
}

// Explainer leaves in the request's Inquiry what the cache would do with it. It asks the same questions of the same functions as Handler does, but
// stores, delivers and promotes nothing, and asks the origin only where it is told to.
func (c *Cache) Explainer(res *Resource) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		question, ok := r.Context().Value(questionKey{}).(*Inquiry)
		if !ok {
			return
		}
		x, err := newExchange(res, r)
		x.ev = new(observe.Event) // nothing of it is the client's
		e := &Explanation{Rules: res.Rules, Request: x.q, Now: c.Now()}
		question.Found = e
		if err != nil {
			e.Refusal, e.Status, e.Whole = err.Error(), http.StatusBadRequest, true
		} else {
			e.Target = x.target.RequestURI()
			(&explaining{c, x, question, e}).explain()
		}
		e.CacheStatus = string(cachepolicy.AppendCacheStatus(nil, c.Name, e.Outcome))
	})
}

// explaining is one request that is being explained.
type explaining struct {
	c *Cache
	x *exchange
	q *Inquiry
	e *Explanation
}

// explain follows the way of do.
func (g *explaining) explain() {
	x, e := g.x, g.e
	e.Params = x.res.Rules.Params(x.q.RawQuery)
	e.Asks = x.res.Rules.ExplainRequest(&x.q)
	out := cachepolicy.Outcome{Forward: cachepolicy.ForwardBypass, Reason: cachepolicy.ReasonUpgrade}
	passes := x.upgrade() != ""
	if !passes {
		out, passes = x.identify()
	}
	if passes {
		e.Outcome, e.Decision = out, cachepolicy.Decision{Action: cachepolicy.Pass, Reason: out.Reason}
		if !x.res.Rules.Enabled {
			e.Decision.Reason = cachepolicy.ReasonDisabled
		}
		g.passed(nil)
		return
	}
	e.Key = x.key
	stored := g.stored()
	g.decided(stored)
}

// stored finds what x selects, in both tiers, as consider does, and leaves everything where it is.
func (g *explaining) stored() *store.Entry {
	c, x := g.c, g.x
	var found *store.Entry
	if x.res.Tiers.Memory {
		object, err := c.Store.Get(x.ctx, x.key)
		if err == nil {
			found = g.selected(object, tierMemory)
		}
	}
	g.e.Decision = g.decide(found)
	if d := g.e.Decision; d.Action != cachepolicy.Fetch && d.Action != cachepolicy.Revalidate || !c.shares(x.res) || c.unshareable.has(c.flightKey(x, found)) {
		return found
	}
	ctx, cancel, ok := c.budgeted(x.ctx, x)
	if !ok {
		return found
	}
	defer cancel()
	object, err := c.Shared.Get(ctx, x.key, &x.q)
	if err != nil {
		return found
	}
	before := *g.e
	if s := g.selected(object, tierShared); s != nil && (found == nil || s.Received.After(found.Received)) {
		g.e.Decision = g.decide(s)
		return s
	}
	g.e.Stored, g.e.Other = before.Stored, before.Other
	return found
}

// selected is the variant of object that x gets, with what purges have left of it.
func (g *explaining) selected(object *store.Object, tier string) *store.Entry {
	chosen := g.c.choose(g.x, object)
	alive := g.c.alive(g.x.key, chosen)
	g.e.Stored, g.e.Other = nil, nil
	for _, v := range object.Variants {
		switch {
		case v != chosen || alive == nil:
			g.e.Other = append(g.e.Other, Variant{Vary: v.Vary.Describe(&g.x.q), Purged: g.c.alive(g.x.key, v) == nil})
		default:
			g.e.Stored = &Stored{Tier: tier, Entry: alive, Soft: alive != chosen, Vary: v.Vary.Describe(&g.x.q)}
		}
	}
	return alive
}

// decide asks without chance: an early refresh is explained by its probability.
func (g *explaining) decide(e *store.Entry) cachepolicy.Decision {
	return g.x.res.Rules.Decide(&g.x.q, metaOf(e), g.e.Now, 0)
}

// decided follows the way of attempt.
func (g *explaining) decided(stored *store.Entry) {
	c, x, e := g.c, g.x, g.e
	switch d := e.Decision; d.Action {
	case cachepolicy.Serve, cachepolicy.ServeStale, cachepolicy.ServeAndRefresh:
		e.Early = x.res.Rules.EarlyRefreshShare(&stored.Meta, d.TTL)
		g.served(stored, hitOutcome(d))
		g.learn(stored)
		return
	case cachepolicy.Refuse:
		e.Outcome, e.Whole, e.Status = c.refuse(d).outcome, true, http.StatusGatewayTimeout
		g.learn(nil)
		return
	case cachepolicy.Pass:
		e.Outcome = cachepolicy.Outcome{Forward: d.Reason.Forward(), Reason: d.Reason}
		g.passed(nil)
		return
	}
	if reply := c.holdDown(x, stored, e.Decision); reply != nil {
		e.HeldDown, e.Decision = true, reply.decision
		g.served(stored, reply.outcome)
		return
	}
	e.Alone = x.res.Coalesce.Enabled && c.unshareable.has(c.flightKey(x, stored))
	if x.q.Method == http.MethodHead {
		e.Outcome = cachepolicy.Outcome{Forward: c.forwardOf(x, e.Decision), Reason: e.Decision.Reason}
		g.passed(stored)
		return
	}
	g.filled(stored)
}

// served is for an answer from the store.
func (g *explaining) served(stored *store.Entry, out cachepolicy.Outcome) {
	e := g.e
	e.Outcome, e.Whole, e.Status = out, true, g.delivered(stored)
	e.Coding = g.storedCoding(stored)
}

// delivered is the status with which a stored response is delivered: its own, or what the request's conditions and ranges make of it.
func (g *explaining) delivered(stored *store.Entry) int {
	if status := g.conditional(&stored.Meta); status != stored.Status {
		return status
	}
	if len(g.x.r.Header["Range"]) == 0 && stored.Complete() || g.x.needsDecoding(stored) {
		return stored.Status
	}
	switch cachepolicy.PlanBody(&g.x.q, &stored.Meta, stored.Representations[0].Body.Size).Kind {
	case cachepolicy.Unsatisfiable:
		return http.StatusRequestedRangeNotSatisfiable
	case cachepolicy.Partial:
		return http.StatusPartialContent
	}
	return stored.Status
}

// conditional is the status of a response, or what the request's conditions make of it.
func (g *explaining) conditional(m *cachepolicy.Meta) int {
	switch cachepolicy.Evaluate(&g.x.q, m) {
	case cachepolicy.NotModified:
		return http.StatusNotModified
	case cachepolicy.Failed:
		return http.StatusPreconditionFailed
	}
	return m.Status
}

// learn looks at what the origin would say where it is not asked now: when it is told to, or when nothing is known that would say more.
func (g *explaining) learn(stored *store.Entry) {
	if g.q.Fetch || g.q.Response != nil {
		g.answered(g.answer(nil, g.plainRequest()), nil)
		return
	}
	if stored == nil {
		g.answered(g.assumed(), nil)
		return
	}
	facts := &cachepolicy.Answer{Status: stored.Status, Header: headerOf(stored), Sent: stored.Received, Received: stored.Received}
	r := &Response{Status: stored.Status, Header: facts.Header, Rule: -1, Verdict: cachepolicy.Verdict{Effect: cachepolicy.Store, Meta: stored.Meta}, Cacheable: true}
	r.Ruled = g.x.res.Rules.ExplainResponse(&g.x.q, facts)
	g.e.Response = r
}

// filled follows the way of a fill.
func (g *explaining) filled(stored *store.Entry) {
	c, x, e := g.c, g.x, g.e
	j := x.job(nil, flightKey{}, stored, e.Decision)
	e.Target = j.outgoing(x.ctx).URL.RequestURI()
	e.Asked = make(http.Header)
	copyFields(e.Asked, j.header, conditionals[:]...)
	e.Outcome = cachepolicy.Outcome{Forward: c.forwardOf(x, e.Decision)}
	a := g.answer(j.stored, j.outgoing(x.ctx))
	if a == nil {
		g.answered(g.assumed(), nil)
		return
	}
	v := g.answered(a, j.stored)
	if page := x.res.page(a, v.Effect); page != nil {
		e.Response.Page = page
		a = page.supposed(a)
		v = x.res.Rules.Settle(&x.q, nil, &a.facts, e.Now, 0)
	}
	g.landed(a, stored, &v)
}

// landed is the outcome of a fill whose answer, or what takes its place, has the verdict v.
func (g *explaining) landed(a *answer, stored *store.Entry, v *cachepolicy.Verdict) {
	c, x, e := g.c, g.x, g.e
	e.Whole = v.Effect != cachepolicy.Refetch && v.Effect != cachepolicy.Combine
	if a.err != nil && v.Effect != cachepolicy.KeepStale {
		e.Status = failureOf(a.err).status
		return
	}
	out := cachepolicy.Outcome{Forward: e.Outcome.Forward, ForwardStatus: a.facts.Status, Reason: v.Reason}
	switch v.Effect {
	case cachepolicy.KeepStale:
		out.TTL, out.HasTTL = staleDecision(stored, e.Now, v.Reason).TTL, true
		e.Status, e.Coding = g.delivered(stored), g.storedCoding(stored)
	case cachepolicy.Freshen:
		out.TTL, out.HasTTL = v.Meta.Lifetime-v.Meta.Age(e.Now), true
		e.Status, e.Coding = g.delivered(stored), g.storedCoding(stored)
	case cachepolicy.Store:
		e.Status, e.Coding = g.conditional(&v.Meta), g.answerCoding(a)
		if x.res.outgrows(&v.Meta, a.resp.ContentLength) {
			out.Reason = cachepolicy.ReasonTooLarge
			e.Status = g.relayed(a)
			break
		}
		out, _ = c.streamed(x.ctx, x, &v.Meta, a.resp.ContentLength, out)
	default:
		if a.facts.Status == http.StatusNotModified { // of a condition that nobody has set
			e.Status = http.StatusBadGateway
			return
		}
		e.Status, e.Coding = g.relayed(a), g.answerCoding(a)
	}
	e.Outcome = out
}

// relayed is the status of a fill's answer that is relayed.
func (g *explaining) relayed(a *answer) int {
	if g.x.unchanged(a.resp, g.e.Now) {
		return http.StatusNotModified
	}
	return a.facts.Status
}

// passed follows the way of forward.
func (g *explaining) passed(stored *store.Entry) {
	x, e := g.x, g.e
	a := g.answer(stored, g.passedRequest())
	if a == nil {
		g.answered(g.assumed(), nil)
		return
	}
	v := g.answered(a, stored)
	out := &e.Outcome
	out.ForwardStatus, e.Whole = a.facts.Status, true
	if v.Effect == cachepolicy.KeepStale {
		d := staleDecision(stored, e.Now, v.Reason)
		out.TTL, out.HasTTL, out.Reason = d.TTL, true, v.Reason
		e.Status, e.Coding = g.delivered(stored), g.storedCoding(stored)
		return
	}
	if page := x.res.page(a, v.Effect); page != nil {
		e.Response.Page = page
		a = page.supposed(a)
	}
	e.Status = a.status()
	if a.err == nil {
		e.Coding = g.answerCoding(a)
	}
}

var errNoFetch = errors.New("only a GET or HEAD without content is sent to the origin for an explanation")

// answer is what the origin says, if it is to be asked or that is given; nil: it is not known.
func (g *explaining) answer(stored *store.Entry, out *http.Request) *answer {
	x := g.x
	switch {
	case g.q.Fetch && (x.q.HasBody || x.q.Method != http.MethodGet && x.q.Method != http.MethodHead):
		g.e.Response = &Response{Err: errNoFetch, Rule: -1}
		return nil
	case g.q.Fetch:
		a := new(answer)
		g.c.ask(a, x, out.WithContext(g.c.WithInterim(observe.NewContext(x.ctx, x.ev), func(int, http.Header) {})), stored)
		a.discard()
		return a
	case g.q.Response != nil:
		given := *g.q.Response
		given.Header, given.Body = given.Header.Clone(), http.NoBody
		return &answer{resp: &given, facts: cachepolicy.Answer{Sent: g.e.Now, Received: g.e.Now, Stored: headerOf(stored)}}
	}
	return nil
}

// assumed is a 200 that says nothing of caching.
func (g *explaining) assumed() *answer {
	resp := &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), ContentLength: -1, Body: http.NoBody}
	return &answer{resp: resp, facts: cachepolicy.Answer{Sent: g.e.Now, Received: g.e.Now}}
}

// passedRequest is the request for the origin as forward sends it.
func (g *explaining) passedRequest() *http.Request {
	header := g.x.r.Header.Clone()
	g.x.res.acceptEncoding(header)
	return g.x.outgoing(g.x.ctx, header)
}

// plainRequest is the request for the origin of a fill that has nothing to go by.
func (g *explaining) plainRequest() *http.Request {
	if g.x.q.Method == http.MethodHead {
		return g.passedRequest()
	}
	return g.x.job(nil, flightKey{}, nil, cachepolicy.Decision{Action: cachepolicy.Fetch}).outgoing(g.x.ctx)
}

// answered explains a, which is shaped as an answer is that has come, and returns what Settle says of it.
func (g *explaining) answered(a *answer, stored *store.Entry) cachepolicy.Verdict {
	x, e := g.x, g.e
	r := &Response{Rule: -1, Fetched: g.q.Fetch, Err: a.err}
	if e.Response != nil {
		r.Err = e.Response.Err // why the origin was not asked
	}
	r.Assumed = !r.Fetched && g.q.Response == nil || r.Err != nil && a.err == nil
	if a.resp != nil {
		before := a.resp.Header.Clone()
		if x.res.Respond != nil {
			x.res.Respond(before)
		}
		r.Rule, r.Rewritten = x.res.Rules.ExplainCacheControl(&x.q, a.resp.StatusCode, before)
		a.receive(x)
	}
	r.Status, r.Header = a.facts.Status, a.facts.Header
	r.Verdict = x.res.Rules.Settle(&x.q, metaOf(stored), &a.facts, e.Now, 0)
	r.Ruled = x.res.Rules.ExplainResponse(&x.q, &a.facts)
	r.Remedies, r.Cacheable = x.res.Rules.Remedies(&x.q, &a.facts)
	e.Response = r
	return r.Verdict
}

// supposed is substitute for a page that is taken to be there.
func (p *ErrorPage) supposed(a *answer) *answer {
	instead := &http.Response{StatusCode: a.status(), Header: make(http.Header), ContentLength: int64(len(p.Body)), Body: http.NoBody}
	if p.As != 0 {
		instead.StatusCode = p.As
	}
	p.describe(instead.Header)
	facts := cachepolicy.Answer{Status: instead.StatusCode, Header: instead.Header, Sent: a.facts.Sent, Received: a.facts.Received}
	return &answer{facts: facts, resp: instead}
}
