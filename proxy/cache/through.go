package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Through says how the new representation that a write brings about is taken into the cache.
type Through struct {
	// Response takes the content of a write's own answer for the new representation, also where the answer does not say that it is.
	Response bool
	// Reader gives the resource that a GET of the write's URL comes to, and that GET; nil: nothing of it would be stored.
	Reader func(write *http.Request) (*Resource, *http.Request)
}

// written carries out what the answer a to x changes: what it has made stale goes, and where the route writes through, what is in its place now is in
// all tiers when written returns. began is from before x's call. It reports whether the answer itself was stored.
//
// What is stored is what a GET with the write's own fields would have been answered with, under that GET's key and by its rules: whoever else asks
// gets it only where RFC 9111 allows that. When nothing comes of it, the next read asks the origin.
func (c *Cache) written(x *exchange, began place, a *answer, v *cachepolicy.Verdict) (stored bool) {
	y := c.reading(x, a, v)
	if y == nil {
		c.invalidate(x, v)
		return false
	}
	rep := c.representation(x, y, a, began)
	at := c.invalidate(x, v)
	y.fence = c.fence(y)
	if rep != nil && at.Follows(rep.applied) {
		x.ev.Refreshed = c.adopt(y, rep, at)
		return x.ev.Refreshed
	}
	x.ev.Refreshed = c.refetch(x, y)
	return false
}

// fence is a token with which what the write brought holds its place in the shared tier against fills that set out before; 0 where there is none to be had.
func (c *Cache) fence(y *exchange) uint64 {
	if !c.shares(y.res) {
		return 0
	}
	token, err := c.Shared.Fence(y.ctx, y.key)
	if err != nil {
		c.Log.Debug("no token for what was written", "route", y.res.Rules.Route, "error", err)
	}
	return token
}

// reading is the GET that is to find the new representation of what x has written; nil: there is none, or none that would be stored.
func (c *Cache) reading(x *exchange, a *answer, v *cachepolicy.Verdict) *exchange {
	if x.res.Through == nil || !v.InvalidateSelf || !cachepolicy.Refreshes(&x.q, &a.facts) {
		return nil
	}
	res, r := x.res.Through.Reader(x.r)
	if res == nil {
		return nil
	}
	ev := observe.FromContext(r.Context())
	// It does not wait for what another instance is fetching, which may have set out before the write.
	y := &exchange{ctx: r.Context(), res: res, r: r, q: view(r, ev.Scheme), ev: ev, target: r.URL, impatient: true}
	if res.Target != nil {
		target, err := res.Target(r)
		if err != nil {
			return nil
		}
		y.target = target
	}
	key, why := res.Rules.Key(&y.q)
	if why != cachepolicy.ReasonNone || res.Rules.Decide(&y.q, nil, c.Now(), 0).Action != cachepolicy.Fetch {
		return nil
	}
	y.key = key
	return y
}

// represented is the answer to a write that may be stored as that to the GET of its URL.
type represented struct {
	entry *store.Entry
	// applied is the moment up to which no other write or purge has come between.
	applied store.Epoch
}

// representation is the answer a to x as a stored response to y, or nil where it is none, where it may not be stored, or where somebody else has
// changed the same thing since x set out: then nobody knows whose change came last. It reads the body, and leaves the answer as if it had not.
func (c *Cache) representation(x, y *exchange, a *answer, began place) *represented {
	if y.res != x.res || c.Epochs == nil || !cachepolicy.Represents(&x.q, &a.facts, x.res.Through.Response) || a.resp.ContentLength > y.res.MaxObject {
		return nil
	}
	facts := a.facts
	facts.Status, facts.Header = http.StatusOK, a.resp.Header.Clone() // a GET finds it, no matter whether it was created
	delete(facts.Header, "Location")
	v := y.res.Rules.Settle(&y.q, nil, &facts, c.Now(), c.Random())
	if v.Effect != cachepolicy.Store || !v.Meta.Complete() {
		return nil
	}
	body, whole := readWhole(a.resp, y.res.MaxObject)
	if !whole {
		return nil
	}
	v.Meta.Seq = c.serial.Add(1)
	l := newLanding(y.res, &http.Response{StatusCode: facts.Status, Header: facts.Header, ContentLength: int64(len(body))}, v.Meta, y.res.Tags.of(y.r))
	rep := &represented{entry: l.kept([][]byte{body}, int64(len(body)), nil), applied: c.Applied()}
	// What is looked at comes after the moment is noted: purges that are not seen here are later than it.
	if fate, _ := c.Epochs.Judge(began.epoch, store.SubjectOf(y.key, l.tags)); fate != store.Alive || c.doomed.since(y.key.Hash, began.begun) {
		return nil
	}
	return rep
}

// readWhole reads the body of resp, if it is no larger than most, and puts it back. It is false where the body is larger or breaks off.
func readWhole(resp *http.Response, most int64) ([]byte, bool) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err == nil && int64(len(body)) <= most && (resp.ContentLength < 0 || resp.ContentLength == int64(len(body))) {
		resp.Body = &replayed{bytes.NewReader(body), resp.Body}
		return body, true
	}
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = broken{err}
	}
	resp.Body = &replayed{io.MultiReader(bytes.NewReader(body), rest), resp.Body}
	return nil, false
}

// replayed is a body of which the beginning has been read already.
type replayed struct {
	io.Reader
	io.Closer
}

// broken is a reader that has failed.
type broken struct{ err error }

// Read returns the error.
func (b broken) Read([]byte) (int, error) { return 0, b.err }

// adopt stores what a write was answered with in all tiers, as of the moment at which the write was made known.
func (c *Cache) adopt(y *exchange, rep *represented, at store.Epoch) bool {
	to := place{res: y.res, key: y.key, begun: c.doomed.now(), epoch: at, fence: y.fence}
	c.keep(y.ctx, to, rep.entry)
	if !c.shares(y.res) {
		return true
	}
	if err := c.Shared.Put(y.ctx, y.key, rep.entry, y.res.MaxVariants); err != nil && !errors.Is(err, store.ErrTooLarge) {
		c.Log.Debug("what was written was not shared", "route", y.res.Rules.Route, "error", err)
	}
	return true
}

// refetch has y's URL fetched as for any reader, and reports whether what came is stored in all tiers. x's client waits for that no longer than those
// wait who want the same thing; the fill goes on.
func (c *Cache) refetch(x, y *exchange) bool {
	f, k := c.ownFlight(y)
	j := y.job(f, k, nil, cachepolicy.Decision{Action: cachepolicy.Fetch, Reason: cachepolicy.ReasonMiss})
	done := make(chan struct{})
	if !c.background(func(ctx context.Context) { defer close(done); c.fill(ctx, j) }) {
		f.End(flight.Retry, errClosed)
		return false
	}
	timer := time.NewTimer(y.res.Coalesce.Wait)
	defer timer.Stop()
	select {
	case <-done:
		return j.kept != nil
	case <-timer.C:
	case <-x.ctx.Done():
	}
	return false
}

// ownFlight leads a flight for y: the one that readers join, or, where they have begun another, one of its own, since that may have set out too early.
func (c *Cache) ownFlight(y *exchange) (*fillFlight, flightKey) {
	k := c.flightKey(y, nil)
	if y.res.Coalesce.Enabled && !c.unshareable.has(k) {
		f, lead, err := c.flights.Join(k, y.res.Coalesce.MaxWaiters)
		if lead {
			return f, k
		}
		if err == nil {
			f.Leave()
		}
	}
	return c.solo(k), k
}
