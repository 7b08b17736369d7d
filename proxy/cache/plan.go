package cache

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/store"
)

// step is the way in which the cache answers a request.
type step uint8

const (
	stepPass    step = iota // the origin answers, for this client alone
	stepQueued              // a write that is yet to be applied answers
	stepServe               // the stored response answers; with ServeAndRefresh a fill refreshes it
	stepRefuse              // the request allows only a stored response, and no usable one exists
	stepBackOff             // the stored response answers after a recent failure; a fill asks the origin again
	stepHead                // the origin answers a HEAD
	stepFill                // a fill gets the response for all clients that wait for it
)

// Plan says how the cache is going to answer a request. Making a plan changes nothing: it counts no
// lookup, moves no response between tiers, joins no flight and asks no origin. [Cache.act] carries
// it out, and an explanation prints it.
type Plan struct {
	step     step
	outcome  cachepolicy.CacheStatus // as far as it is known before the origin is asked
	protocol string                  // of stepPass: the protocol to which the connection is upgraded; "": no upgrade
	queued   *fill.Reply             // of stepQueued
	// transient is true if a queued write is going to change the response. A response that the
	// origin gives meanwhile is not stored.
	transient bool
	// keyed is true if the request has a key under which a stored response could answer it.
	keyed bool
	// looked is true if the tiers were asked. Then decision is the rules' decision about entry.
	looked   bool
	entry    *store.Entry // the stored response that the request selects; may be nil
	tier     string       // the tier that has entry
	decision cachepolicy.Decision
	stale    cachepolicy.Decision // of stepBackOff: the decision by which entry is served
	// alone is true if recent responses under the key were for one client alone, so that no client
	// waits for the call of another.
	alone bool
	// revision is the key's revision before the lookup.
	revision uint32
	memory   tiers.Sighting
	shared   tiers.Sighting
	tiers.Variation
}

// moment returns the present moment. If the connection has made a draw for x, moment reuses it: a
// second draw would make early refreshes too rare.
func (c *Cache) moment(x *request) tiers.Moment {
	at := tiers.Moment{Now: c.Now(), Chance: x.ev.Chance, Jitter: c.random()}
	if at.Chance == 0 {
		at.Chance = c.random()
	}
	return at
}

// plan decides how x is answered at a moment, and writes the decision to p. It keeps the variation
// that p already knows. The shared tier is asked within b.
func (c *Cache) plan(p *Plan, x *located, b *tiers.Budget, at tiers.Moment) {
	*p = Plan{Variation: p.Variation}
	if x.upgrade != "" {
		p.protocol = x.upgrade
		p.outcome = cachepolicy.CacheStatus{Forward: cachepolicy.ForwardBypass, Reason: cachepolicy.ReasonUpgrade}
		return
	}
	// The cache's rules do not say whether the client may see a queued write.
	if x.keyless == cachepolicy.ReasonAuthorization && p.asksQueue(x) {
		return
	}
	if !x.Route.Rules.Enabled || x.keyless != cachepolicy.ReasonNone {
		p.outcome = x.keylessOutcome()
		return
	}
	p.keyed = true
	held := x.Route.OnHold(x.Key)
	if held && p.asksQueue(x) { // a queued write goes before any stored response
		return
	}
	c.consult(p, x, b, at)
	if !held && forwards(p.decision) && p.asksQueue(x) {
		return
	}
	c.choose(p, x, at.Now)
}

// asksQueue plans the answer that a queued write gives to x, and reports whether there is such a
// write.
func (p *Plan) asksQueue(x *located) bool {
	reply, pending := x.fromQueue()
	if !pending {
		return false
	}
	p.transient = true
	if reply == nil {
		p.step, p.outcome = stepPass, queuedPass
	} else {
		p.step, p.queued, p.outcome = stepQueued, reply, reply.Status
	}
	return true
}

// forwards reports whether decision d sends the request to the origin. Before that, the queue is
// also asked for writes of other instances, because the origin's response would be stored. Such a
// write has already removed the responses stored before it.
func forwards(d cachepolicy.Decision) bool {
	return d.Action == cachepolicy.Fetch || d.Action == cachepolicy.Revalidate || d.Action == cachepolicy.Pass
}

// consult looks x up. The shared tier is asked if memory does not have the answer.
func (c *Cache) consult(p *Plan, x *located, b *tiers.Budget, at tiers.Moment) {
	p.looked, p.revision = true, c.tiers.Revisions.Of(x.Key.Hash)
	found := c.tiers.ConsultMemory(x.Ctx, x.Query(), at)
	p.memory = found.Sighting
	p.take(&found, tiers.Memory)
	if p.decision.Action != cachepolicy.Fetch && p.decision.Action != cachepolicy.Revalidate || !c.tiers.Shares(&x.Route.Policy) {
		return
	}
	// If responses under this key are for one client alone, the shared tier has no copies of them.
	if c.fills.HitForMiss.Has(c.fills.FlightKey(&x.Request, p.known())) {
		return
	}
	found = c.tiers.ConsultShared(x.Ctx, x.Query(), b, at)
	p.shared = found.Sighting
	if s := found.Entry; s != nil && (p.entry == nil || s.Received.After(p.entry.Received)) {
		p.take(&found, tiers.Redis)
	}
}

// take sets p to a tier's finding.
func (p *Plan) take(f *tiers.Finding, tier string) {
	p.entry, p.decision, p.tier = f.Entry, f.Decision, tier
	if f.VaryMiss {
		p.VaryMiss = true
	}
	if f.Vary != "" {
		p.Vary = f.Vary
	}
}

// known returns the list of fields that responses under the key are known to vary on. If the
// lookups found no newer list, it returns that of the stored response.
func (p *Plan) known() cachepolicy.Vary {
	if p.Vary == "" && p.entry != nil {
		return p.entry.Vary
	}
	return p.Vary
}

// choose picks the step that follows from the decision.
func (c *Cache) choose(p *Plan, x *located, now time.Time) {
	d := p.decision
	switch d.Action {
	case cachepolicy.Serve, cachepolicy.ServeStale, cachepolicy.ServeAndRefresh:
		p.step, p.outcome = stepServe, hitOutcome(d)
		return
	case cachepolicy.Refuse:
		p.step, p.outcome = stepRefuse, cachepolicy.CacheStatus{Reason: d.Reason}
		return
	case cachepolicy.Pass:
		p.step, p.outcome = stepPass, cachepolicy.CacheStatus{Forward: d.Reason.Forward(), Reason: d.Reason}
		return
	}
	if stale, ok := c.backsOff(x, p.entry, d, now); ok {
		p.step, p.stale, p.outcome = stepBackOff, stale, hitOutcome(stale)
		return
	}
	p.alone = x.Route.Coalesce.Enabled && c.fills.HitForMiss.Has(c.fills.FlightKey(&x.Request, p.known()))
	p.step, p.outcome = stepFill, cachepolicy.CacheStatus{Forward: p.ForwardOf(d), Reason: d.Reason}
	if x.View.Method == http.MethodHead {
		p.step = stepHead
	}
}

// hitOutcome returns the content of Cache-Status for a stored response.
func hitOutcome(d cachepolicy.Decision) cachepolicy.CacheStatus {
	return cachepolicy.CacheStatus{Hit: true, TTL: d.TTL, HasTTL: true, Reason: d.Reason}
}
