package cache

import (
	"errors"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Explainer returns a handler that writes an Explanation into the request's Inquiry: the cache's
// treatment of the request. It makes the same plan as Handler, but does not carry it out. It
// stores, delivers and promotes nothing, and asks the origin only if the Inquiry says so.
func (c *Cache) Explainer(res *Resource) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		question, ok := r.Context().Value(questionKey{}).(*Inquiry)
		if !ok {
			return
		}
		x, err := newRequest(res, r, observe.FromContext(r.Context()), nil)
		x.ev = new(observe.Event) // the explanation must not change the client's Event
		e := &Explanation{Rules: res.Rules, Request: x.View, Now: c.Now()}
		question.Found = e
		if err != nil {
			e.Refusal, e.Status, e.Whole = err.Error(), http.StatusBadRequest, true
		} else {
			e.Target = x.Target.RequestURI()
			(&explaining{c, x, question, e}).explain()
		}
		e.CacheStatus = string(cachepolicy.AppendCacheStatus(nil, c.name, e.Outcome))
	})
}

// explaining holds the state of one explanation.
type explaining struct {
	c *Cache
	x *request
	q *Inquiry
	e *Explanation
}

// explain records the plan and the treatment of the answers to which the plan leads. It plans
// without chance, because the explanation gives an early refresh as a probability.
func (g *explaining) explain() {
	x, e, p := g.x, g.e, &g.x.plan
	e.Params = x.res.Rules.Params(x.View.RawQuery)
	e.Asks = x.res.Rules.ExplainRequest(&x.View)
	g.c.plan(p, &x.located, &x.budget, tiers.Moment{Now: e.Now})
	if p.keyed {
		e.Key = x.Key
	}
	if p.looked {
		g.lookedUp(p)
	}
	e.Outcome, e.Decision, e.Alone = p.outcome, p.decision, p.alone
	g.acted(p)
}

// lookedUp records the stored response that the plan uses, and the other variants under the key.
func (g *explaining) lookedUp(p *Plan) {
	f := &p.memory
	if p.tier == tiers.Redis {
		f = &p.shared
	}
	if f.Object == nil {
		return
	}
	alive := g.c.tiers.Alive(g.x.Key, f.Ruled, g.c.Now())
	for _, v := range f.Object.Variants {
		vary := v.Vary.Describe(&g.x.View)
		switch {
		case v != f.Stored || alive == nil:
			g.e.Other = append(g.e.Other, Variant{Vary: vary, Purged: g.c.tiers.Alive(g.x.Key, v, g.c.Now()) == nil})
		case f.Entry == nil:
			g.e.Other = append(g.e.Other, Variant{Vary: vary, Cookie: true})
		default:
			doubted := g.c.tiers.Epochs != nil && g.c.tiers.Epochs.Doubts()
			g.e.Stored = &Stored{Tier: p.tier, Entry: f.Entry, Soft: f.Entry != f.Ruled && !doubted, Doubted: doubted, Vary: vary}
		}
	}
}

// acted explains the step of the plan.
func (g *explaining) acted(p *Plan) {
	e := g.e
	switch p.step {
	case stepPass:
		if !p.looked || p.transient {
			e.Decision = cachepolicy.Decision{Action: cachepolicy.Pass, Reason: p.outcome.Reason}
		}
		if !g.x.res.Rules.Enabled {
			e.Decision.Reason = cachepolicy.ReasonDisabled
		}
		g.passed(nil)
	case stepQueued:
		e.Decision = cachepolicy.Decision{Action: cachepolicy.Serve, Reason: cachepolicy.ReasonQueued}
		if p.queued.Entry == nil {
			e.Whole, e.Status = true, p.queued.Failure.Status
			return
		}
		g.served(p.queued.Entry)
	case stepServe:
		e.Early = g.x.res.Rules.EarlyRefreshShare(&p.entry.Meta, p.decision.TTL)
		g.served(p.entry)
		g.learn(p.entry)
	case stepBackOff:
		e.BacksOff, e.Decision = true, p.stale
		g.served(p.entry)
	case stepRefuse:
		e.Whole, e.Status = true, http.StatusGatewayTimeout
		g.learn(nil)
	case stepHead:
		g.passed(p.entry)
	case stepFill:
		g.filled(p.entry)
	}
}

// served explains an answer from the store.
func (g *explaining) served(stored *store.Entry) {
	e := g.e
	e.Whole, e.Status = true, g.delivered(stored)
	e.Coding = g.storedCoding(stored)
}

// delivered returns the status with which a stored response is delivered: its own status, or the
// status that the request's conditions and ranges lead to.
func (g *explaining) delivered(stored *store.Entry) int {
	if status := g.conditional(&stored.Meta); status != stored.Status {
		return status
	}
	if len(g.x.HTTP.Header["Range"]) == 0 && stored.Complete() || deliver.NeedsDecoding(stored, g.x.HTTP.Header["Accept-Encoding"]) {
		return stored.Status
	}
	switch cachepolicy.PlanBody(&g.x.View, &stored.Meta, stored.Representations[0].Body.Size).Kind {
	case cachepolicy.Unsatisfiable:
		return http.StatusRequestedRangeNotSatisfiable
	case cachepolicy.Partial:
		return http.StatusPartialContent
	}
	return stored.Status
}

// conditional returns the status of a response, or the status that the request's conditions lead
// to.
func (g *explaining) conditional(m *cachepolicy.Meta) int {
	switch cachepolicy.Evaluate(&g.x.View, m) {
	case cachepolicy.NotModified:
		return http.StatusNotModified
	case cachepolicy.Failed:
		return http.StatusPreconditionFailed
	}
	return m.Status
}

// learn explains the origin's answer although the plan does not ask the origin. It asks the origin
// or uses the given response if the Inquiry says so. Otherwise it describes the stored response, or
// an assumed answer if stored is nil.
func (g *explaining) learn(stored *store.Entry) {
	if g.q.Fetch || g.q.Response != nil {
		g.answered(g.answer(nil, g.plainRequest()), nil)
		return
	}
	if stored == nil {
		g.answered(g.assumed(), nil)
		return
	}
	facts := &cachepolicy.Answer{Status: stored.Status, Header: entry.HeaderOf(stored), Sent: stored.Received, Received: stored.Received}
	r := &Response{Status: stored.Status, Header: facts.Header, Rule: -1, Verdict: cachepolicy.Verdict{Effect: cachepolicy.Store, Meta: stored.Meta}, Cacheable: true}
	r.Ruled = g.x.res.Rules.ExplainResponse(&g.x.View, facts)
	g.e.Response = r
}

// filled follows the steps of a fill.
func (g *explaining) filled(stored *store.Entry) {
	x, e := g.x, g.e
	j := x.job(nil, fill.FlightKey{})
	e.Target = j.Outgoing(x.Ctx).URL.RequestURI()
	e.Asked = make(http.Header)
	fill.CopyFields(e.Asked, j.Header, fill.Conditionals[:]...)
	e.Outcome.Reason = cachepolicy.ReasonNone // the answer determines it
	a := g.answer(j.Stored, j.Outgoing(x.Ctx))
	if a == nil {
		g.answered(g.assumed(), nil)
		return
	}
	v := g.answered(a, j.Stored)
	if g.q.Fetch && fill.Delivers(v.Effect) && j.Narrow(a) {
		j.Prepare()
		a = g.answer(j.Stored, j.Outgoing(x.Ctx))
		v = g.answered(a, j.Stored)
	}
	came := a
	if page := x.res.Page(a, v.Effect); page != nil {
		e.Response.Page = page
		a = page.Supposed(a)
		v = x.res.Rules.Settle(&x.View, nil, &a.Facts, e.Now, 0)
	}
	g.used(j, stored, &fill.Settled{Received: came, Answer: a, Verdict: &v})
}

// used explains the fill j's use of an answer. stored is the response that the fill began with.
func (g *explaining) used(j *fill.Job, stored *store.Entry, t *fill.Settled) {
	e, a := g.e, t.Answer
	how, out := j.UseOf(t, e.Now)
	e.Whole = how != fill.UseNone && how != fill.UseCombine
	switch how {
	case fill.UseFailure:
		e.Status = deliver.FailureOf(a.Err).Status
		return
	case fill.UseMisplaced304:
		e.Status = http.StatusBadGateway
		return
	case fill.UseStale, fill.UseFreshen:
		e.Status, e.Coding = g.delivered(stored), g.storedCoding(stored)
	case fill.UseStream, fill.UseStreamAlone:
		e.Status, e.Coding = g.conditional(&t.Verdict.Meta), g.answerCoding(a)
		size := a.Response.ContentLength
		if size < 0 && !g.q.Fetch {
			size = 0 // only the head is given: the content counts as small
		}
		out, _ = g.c.fills.Streamed(j.Request, &t.Verdict.Meta, size, out)
	default:
		e.Status, e.Coding = g.relayed(a), g.answerCoding(a)
	}
	e.Outcome = out
}

// relayed returns the status of a fill's answer that is relayed.
func (g *explaining) relayed(a *fill.Answer) int {
	if deliver.Unchanged(&g.x.View, a.Response, g.e.Now) {
		return http.StatusNotModified
	}
	return a.Facts.Status
}

// passed follows the steps of forward.
func (g *explaining) passed(stored *store.Entry) {
	x, e := g.x, g.e
	a := g.answer(stored, g.passedRequest(stored))
	if a == nil {
		g.answered(g.assumed(), nil)
		return
	}
	v := g.answered(a, stored)
	out := &e.Outcome
	out.ForwardStatus, e.Whole = a.Facts.Status, true
	if v.Effect == cachepolicy.KeepStale {
		d := g.x.res.StaleDecision(stored, e.Now, v.Reason)
		out.TTL, out.HasTTL, out.Reason = d.TTL, true, v.Reason
		e.Status, e.Coding = g.delivered(stored), g.storedCoding(stored)
		return
	}
	if page := x.res.Page(a, v.Effect); page != nil {
		e.Response.Page = page
		a = page.Supposed(a)
	}
	e.Status = a.Status()
	if a.Err == nil {
		e.Coding = g.answerCoding(a)
	}
}

var errNoFetch = errors.New("only a GET or HEAD without content and upgrade is sent to the origin for an explanation")

// answer returns the origin's answer if the Inquiry asks for a fetch, or the answer given in the
// Inquiry. It returns nil if neither is possible. Then the answer is not known.
func (g *explaining) answer(stored *store.Entry, out *http.Request) *fill.Answer {
	x := g.x
	switch {
	case g.q.Fetch && (x.View.HasBody || x.plan.protocol != "" || x.View.Method != http.MethodGet && x.View.Method != http.MethodHead):
		g.e.Response = &Response{Err: errNoFetch, Rule: -1}
		return nil
	case g.q.Fetch:
		a := new(fill.Answer)
		g.c.fills.Ask(a, &x.Request, out.WithContext(g.c.fills.WithInterim(observe.NewContext(x.Ctx, x.ev), func(int, http.Header) {})), stored)
		a.Discard()
		return a
	case g.q.Response != nil:
		given := *g.q.Response
		given.Header, given.Body = given.Header.Clone(), http.NoBody
		return &fill.Answer{Response: &given, Facts: cachepolicy.Answer{Sent: g.e.Now, Received: g.e.Now, Stored: entry.HeaderOf(stored)}}
	}
	return nil
}

// assumed returns a 200 without any caching fields.
func (g *explaining) assumed() *fill.Answer {
	resp := &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), ContentLength: -1, Body: http.NoBody}
	return &fill.Answer{Response: resp, Facts: cachepolicy.Answer{Sent: g.e.Now, Received: g.e.Now}}
}

// passedRequest returns the request as forward sends it to the origin. stored is the response that
// the answer to a HEAD may update.
func (g *explaining) passedRequest(stored *store.Entry) *http.Request {
	if protocol := g.x.plan.protocol; protocol != "" {
		return g.x.Outgoing(g.x.Ctx, g.x.upgradeHeader(protocol))
	}
	return g.x.Outgoing(g.x.Ctx, g.x.headHeader(stored))
}

// plainRequest returns the origin request of a fill without a stored response.
func (g *explaining) plainRequest() *http.Request {
	if g.x.View.Method == http.MethodHead {
		return g.passedRequest(nil)
	}
	x := *g.x
	x.plan.entry, x.plan.decision = nil, cachepolicy.Decision{Action: cachepolicy.Fetch}
	return x.job(nil, fill.FlightKey{}).Outgoing(x.Ctx)
}

// answered explains a and returns Settle's verdict on it. It applies the route's changes to a as if
// a had just arrived.
func (g *explaining) answered(a *fill.Answer, stored *store.Entry) cachepolicy.Verdict {
	x, e := g.x, g.e
	r := &Response{Rule: -1, Fetched: g.q.Fetch, Err: a.Err}
	if e.Response != nil {
		r.Err = e.Response.Err // the reason for not asking the origin
	}
	r.Assumed = !r.Fetched && g.q.Response == nil || r.Err != nil && a.Err == nil
	if a.Response != nil {
		before := a.Response.Header.Clone()
		if x.res.Respond != nil {
			x.res.Respond(&x.View, observe.FromContext(x.Ctx), before)
		}
		r.Rule, r.Rewritten = x.res.Rules.ExplainCacheControl(&x.View, a.Response.StatusCode, before)
		a.Receive(&x.Request)
	}
	r.Status, r.Header = a.Facts.Status, a.Facts.Header
	r.Verdict = x.res.Rules.Settle(&x.View, entry.MetaOf(stored), &a.Facts, e.Now, 0)
	r.Ruled = x.res.Rules.ExplainResponse(&x.View, &a.Facts)
	r.Remedies, r.Cacheable = x.res.Rules.Remedies(&x.View, &a.Facts)
	e.Response = r
	return r.Verdict
}
