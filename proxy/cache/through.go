package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Through says how the cache stores the new representation that a write brings about.
type Through struct {
	// Response is true if the content of the write's own response is taken for the new
	// representation even if the response does not say so.
	Response bool
	// Reader returns the resource that a GET of the write's URL reaches, and that GET. It returns a
	// nil resource if the response to that GET would not be stored.
	Reader func(write *http.Request) (*Resource, *http.Request)
}

// written carries out the changes that the answer a to x causes. It invalidates the responses that
// the write made stale. If the route writes through, all tiers hold the new representation when
// written returns, unless it could not be stored. began is from before x's call. written reports
// whether a itself was stored.
//
// The stored response is the one that a GET with the write's own fields would have received, under
// that GET's key and by its rules: another client gets it only if RFC 9111 allows that. If no
// representation is stored, the next read asks the origin.
func (c *Cache) written(x *request, began tiers.Destination, a *fill.Answer, v *cachepolicy.Verdict) (stored bool) {
	y := c.reading(x, a, v)
	if y == nil {
		c.invalidate(x, v)
		return false
	}
	rep := c.representation(x, y, a, began)
	at := c.invalidate(x, v)
	fence := c.fence(y)
	if rep != nil && at.Follows(rep.applied) {
		x.ev.Refreshed = c.adopt(y, rep, at, fence)
		return x.ev.Refreshed
	}
	x.ev.Refreshed = c.refetch(x, y, fence)
	return false
}

// fence returns a token for the new representation. With it, the representation holds its place in
// the shared tier against fills that began earlier. It returns 0 if no token is available.
func (c *Cache) fence(y *request) uint64 {
	if !c.tiers.Shares(&y.res.Policy) {
		return 0
	}
	token, err := c.tiers.Shared.Fence(y.Ctx, y.Key)
	if err != nil {
		c.log.Debug("no token for the content of a write", "route", y.res.Rules.Route, "error", err)
	}
	return token
}

// reading returns the GET that finds the new representation of the resource that x has written. It
// returns nil if there is no such GET or if its response would not be stored.
func (c *Cache) reading(x *request, a *fill.Answer, v *cachepolicy.Verdict) *request {
	if x.res.Through == nil || !v.InvalidateSelf || !cachepolicy.Refreshes(&x.View, &a.Facts) {
		return nil
	}
	res, r := x.res.Through.Reader(x.HTTP)
	if res == nil {
		return nil
	}
	y, err := newRequest(res, r, observe.FromContext(r.Context()), nil)
	if err != nil || y.keyless != cachepolicy.ReasonNone || res.Rules.Decide(&y.View, nil, c.Now(), 0).Action != cachepolicy.Fetch {
		return nil
	}
	y.Impatient = true // the fill of another instance may have begun before the write
	return y
}

// represented is the response to a write in a form that may be stored as the response to the GET of
// its URL.
type represented struct {
	entry *store.Entry
	// applied is the moment up to which no other write or purge has come between.
	applied store.Epoch
}

// representation returns the answer a to x as a stored response to y. It returns nil if a does not
// represent the resource or may not be stored. It also returns nil if another client has changed
// the same resource since x began, because the order of the two changes is then unknown. It reads
// the body and puts it back, so that the caller can still relay the answer.
func (c *Cache) representation(x, y *request, a *fill.Answer, began tiers.Destination) *represented {
	if y.res != x.res || c.tiers.Epochs == nil || !cachepolicy.Represents(&x.View, &a.Facts, x.res.Through.Response) || a.Response.ContentLength > y.res.MaxObject {
		return nil
	}
	facts := a.Facts
	// A GET finds the representation with status 200, even if the write answered 201.
	facts.Status, facts.Header = http.StatusOK, a.Response.Header.Clone()
	delete(facts.Header, "Location")
	v := y.res.Rules.Settle(&y.View, nil, &facts, c.Now(), c.random())
	if v.Effect != cachepolicy.Store || !v.Meta.Complete() {
		return nil
	}
	body, whole := readWhole(a.Response, y.res.MaxObject)
	if !whole {
		return nil
	}
	v.Meta.Seq = c.tiers.NextSeq()
	d, _ := y.res.Draft(facts.Status, facts.Header, int64(len(body)), &v.Meta, y.res.Tags.Joined(a.Tags, y.res.Tags.OfRequest(y.HTTP)))
	rep := &represented{entry: d.Entry(&v.Meta, store.NewBody(body)), applied: c.applied()}
	// This check comes after the moment is noted: a purge that the check misses is later than that
	// moment.
	if fate, _ := c.tiers.Epochs.SubjectFate(began.Epoch, store.SubjectOf(y.Key, d.Tags)); fate != store.Alive || c.tiers.Invalidations.Since(y.Key.Hash, began.Begun) {
		return nil
	}
	return rep
}

// readWhole reads the body of resp, if it has no more than most bytes, and puts it back. It returns
// false if the body is larger or breaks off.
func readWhole(resp *http.Response, most int64) ([]byte, bool) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err == nil && int64(len(body)) <= most && (resp.ContentLength < 0 || resp.ContentLength == int64(len(body))) {
		resp.Body = &deliver.Replayed{Reader: bytes.NewReader(body), Closer: resp.Body}
		return body, true
	}
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = deliver.Broken{Err: err}
	}
	resp.Body = &deliver.Replayed{Reader: io.MultiReader(bytes.NewReader(body), rest), Closer: resp.Body}
	return nil, false
}

// adopt stores rep in all tiers, as of the moment at which the write was made known.
func (c *Cache) adopt(y *request, rep *represented, at store.Epoch, fence uint64) bool {
	to := tiers.Destination{Policy: &y.res.Policy, Key: y.Key, Begun: c.tiers.Invalidations.Now(), Epoch: at, Fence: fence}
	c.tiers.Keep(y.Ctx, to, rep.entry)
	if !c.tiers.Shares(&y.res.Policy) {
		return true
	}
	if err := c.tiers.Shared.Put(y.Ctx, y.Key, rep.entry, y.res.MaxVariants); err != nil && !errors.Is(err, store.ErrTooLarge) {
		c.log.Debug("the content of a write was not shared", "route", y.res.Rules.Route, "error", err)
	}
	return true
}

// refetch fetches y's URL as for any reader, and reports whether the response is stored in all
// tiers. x's client waits for that no longer than a follower waits for a flight. The fill goes on
// without the client.
func (c *Cache) refetch(x, y *request, fence uint64) bool {
	f, k := c.ownFlight(y)
	y.plan.decision = cachepolicy.Decision{Action: cachepolicy.Fetch, Reason: cachepolicy.ReasonMiss}
	j := y.job(f, k)
	j.Fence = fence
	done := make(chan struct{})
	if !c.tasks.Go(func(ctx context.Context) { defer close(done); c.fills.Fill(ctx, j) }) {
		f.End(flight.Retry, fill.ErrClosed)
		return false
	}
	timer := time.NewTimer(y.res.Coalesce.Wait)
	defer timer.Stop()
	select {
	case <-done:
		return j.Kept != nil
	case <-timer.C:
	case <-x.Ctx.Done():
	}
	return false
}

// ownFlight leads a flight for y, which readers may join. If readers have already begun a flight,
// it leads a separate one, because theirs may have begun before the write.
func (c *Cache) ownFlight(y *request) (*fill.Flight, fill.FlightKey) {
	k := c.fills.FlightKey(&y.Request, "")
	if y.res.Coalesce.Enabled && !c.fills.HitForMiss.Has(k) {
		f, lead, err := c.fills.Flights.Join(k, y.res.Coalesce.MaxWaiters)
		if lead {
			return f, k
		}
		if err == nil {
			f.Leave()
		}
	}
	return c.fills.Solo(k), k
}
