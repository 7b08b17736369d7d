package cache

import (
	"encoding/binary"
	"errors"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/store"
)

// Reply is what will be delivered and why. Exactly one of Entry, landing, response and failure is set.
type Reply struct {
	Entry    *store.Entry
	landing  *landing       // a fill under way, read along
	response *http.Response // for this client alone
	failure  *failure       // the gateway's own answer
	flight   *fillFlight    // of landing, a follower's; left when the reply is delivered
	source   *source        // of landing, the leader's: opened before the first byte came, so that none is dropped before it looks
	call     *call          // the call that was made for this reply by a fill; nil: none, or the client's own
	tier     string         // where Entry was found, if not where the request looked first
	decision cachepolicy.Decision
	outcome  cachepolicy.Outcome
}

type fillFlight = flight.Flight[flightKey, *landing]

// drop lets go of a reply that nobody takes.
func (r *Reply) drop() {
	discard(r.response)
	if r.source != nil {
		r.source.Close()
	}
}

// do finds the answer to x: from the store, from a fill that it leads or follows, or from the origin for this client alone.
func (c *Cache) do(x *exchange) *Reply {
	if protocol := x.upgrade(); protocol != "" {
		return c.passUpgrade(x, protocol)
	}
	out, passes := x.identify()
	if out.Reason == cachepolicy.ReasonAuthorization {
		if reply := c.queued(x); reply != nil { // whether it may be seen is not for the cache's rules to say
			return reply
		}
	}
	if passes {
		return c.pass(x, out)
	}
	x.ev.KeyHash, x.ev.Key = keyText(x.key), binary.BigEndian.Uint64(x.key.Hash[:8])
	for {
		if reply := c.attempt(x); reply != nil {
			return reply
		}
	}
}

// identify gives x its key, or the outcome of a request that keeps away from the cache.
func (x *exchange) identify() (out cachepolicy.Outcome, passes bool) {
	if !x.res.Rules.Enabled {
		return cachepolicy.Outcome{Forward: cachepolicy.ForwardBypass}, true
	}
	key, why := x.res.Rules.Key(&x.q)
	x.key = key
	return cachepolicy.Outcome{Forward: why.Forward(), Reason: why}, why != cachepolicy.ReasonNone
}

// attempt makes one lookup and does what Decide says of it. nil means that the flight it followed came to nothing that it may use.
func (c *Cache) attempt(x *exchange) *Reply {
	e, d := c.consider(x)
	x.ev.Action = d.Action.String()
	if d.Action == cachepolicy.Fetch || d.Action == cachepolicy.Revalidate || d.Action == cachepolicy.Pass {
		if reply := c.queued(x); reply != nil {
			return reply
		}
	}
	switch d.Action {
	case cachepolicy.Serve, cachepolicy.ServeStale:
		c.used(x.key)
		return x.hit(e, d)
	case cachepolicy.ServeAndRefresh:
		c.used(x.key)
		c.refresh(x, e, d)
		return x.hit(e, d)
	case cachepolicy.Refuse:
		return c.refuse(d)
	case cachepolicy.Pass:
		return c.pass(x, cachepolicy.Outcome{Forward: d.Reason.Forward(), Reason: d.Reason})
	}
	if reply := c.holdDown(x, e, d); reply != nil {
		return reply
	}
	if x.q.Method == http.MethodHead {
		return c.head(x, e, d)
	}
	return c.join(x, e, d)
}

// consider looks x up and asks what may be done with what is stored. The tier of all instances is asked where memory does not have the answer.
func (c *Cache) consider(x *exchange) (*store.Entry, cachepolicy.Decision) {
	e, d := c.considerMemory(x, false)
	if d.Action != cachepolicy.Fetch && d.Action != cachepolicy.Revalidate || !c.shares(x.res) || c.unshareable.has(c.flightKey(x, e)) {
		return e, d // what proved to be for one client alone is not looked for where all share
	}
	if s := c.lookupShared(x.ctx, x); s != nil && (e == nil || s.Received.After(e.Received)) {
		return s, c.decide(x, s)
	}
	return e, d
}

// considerMemory is consider for the tier within the process alone, which may be asked again on behalf of one request.
func (c *Cache) considerMemory(x *exchange, again bool) (*store.Entry, cachepolicy.Decision) {
	e := c.lookup(x, again)
	return e, c.decide(x, e)
}

func (c *Cache) decide(x *exchange, e *store.Entry) cachepolicy.Decision {
	chance := x.ev.Chance
	if chance == 0 {
		chance = c.Random()
	}
	return x.res.Rules.Decide(&x.q, metaOf(e), c.Now(), chance)
}

// lookup returns the response in memory that x selects, or nil. A store that fails is a store that has nothing: the origin has the answer.
func (c *Cache) lookup(x *exchange, again bool) *store.Entry {
	if !x.res.Tiers.Memory {
		return nil
	}
	object, err := c.fromMemory(x, again)
	if err != nil {
		if !errors.Is(err, store.ErrMiss) {
			c.Log.Warn("looking a response up failed; asking the origin", "error", err)
		}
		return nil
	}
	x.tier = tierMemory
	return c.alive(x.key, c.choose(x, object))
}

func (c *Cache) fromMemory(x *exchange, again bool) (*store.Object, error) {
	if again {
		return c.Store.Try(x.ctx, x.key)
	}
	return c.Store.Get(x.ctx, x.key)
}

// choose is the variant that x selects, or nil; then x knows what the variants differ by.
func (c *Cache) choose(x *exchange, object *store.Object) *store.Entry {
	if i := cachepolicy.Select(&x.q, object.Variants); i >= 0 {
		return object.Variants[i]
	}
	if len(object.Variants) > 0 {
		x.varyMiss, x.vary = true, object.Variants[0].Vary
	}
	return nil
}

func metaOf(e *store.Entry) *cachepolicy.Meta {
	if e == nil {
		return nil
	}
	return &e.Meta
}

// used counts a hit for whoever wants to know.
func (c *Cache) used(k cachepolicy.Key) {
	if c.Used != nil && c.Random()*float64(c.UsedSample) < 1 {
		c.Used(k, c.UsedSample)
	}
}

func (x *exchange) hit(e *store.Entry, d cachepolicy.Decision) *Reply {
	x.reply = Reply{Entry: e, decision: d, outcome: hitOutcome(d)}
	return &x.reply
}

// hitOutcome is what Cache-Status tells of a response from the store.
func hitOutcome(d cachepolicy.Decision) cachepolicy.Outcome {
	return cachepolicy.Outcome{Hit: true, TTL: d.TTL, HasTTL: true, Reason: d.Reason}
}

// refuse answers only-if-cached where nothing usable is stored (RFC 9111 §5.2.1.7).
func (c *Cache) refuse(d cachepolicy.Decision) *Reply {
	return &Reply{
		failure: &failure{status: http.StatusGatewayTimeout, detail: "nothing usable is stored and the request allows nothing else"},
		outcome: cachepolicy.Outcome{Reason: d.Reason},
	}
}
