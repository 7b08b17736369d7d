package cache

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// answer is what an origin said, or how it failed to: as cachepolicy sees it, and as it came.
type answer struct {
	facts cachepolicy.Answer
	resp  *http.Response // nil with err
	err   error
}

// call makes one call to the origin and describes its answer in a, after the route's own changes to the header. stored is what the answer may
// update; nil: nothing.
func (c *Cache) call(a *answer, x *exchange, out *http.Request, stored *store.Entry) {
	c.ask(a, x, out, stored)
	a.receive(x)
}

// ask makes one call to the origin and describes its answer in a. The header of the answer is as it came.
func (c *Cache) ask(a *answer, x *exchange, out *http.Request, stored *store.Entry) {
	sent := c.Now()
	resp, err := x.res.Origin.RoundTrip(out)
	*a = answer{resp: resp, err: err, facts: cachepolicy.Answer{Sent: sent, Received: c.Now(), Stored: headerOf(stored)}}
	if err != nil {
		a.facts.Failure = failureKind(err)
	}
}

// receive makes the route's changes to the header of a response.
func (a *answer) receive(x *exchange) {
	if a.resp == nil {
		return
	}
	if x.res.Respond != nil {
		x.res.Respond(a.resp.Header)
	}
	x.res.Rules.ApplyCacheControl(&x.q, a.resp.StatusCode, a.resp.Header)
	varyOnOrigin(a.resp.Header)
	a.facts.Status, a.facts.Header = a.resp.StatusCode, a.resp.Header
}

// varyOnOrigin adds the Vary that belongs to a response which allows one origin (Fetch, section 3.2.5): many that reflect the request's Origin
// forget it, and what is stored of them would lock the others out, or let one in.
func varyOnOrigin(h http.Header) {
	allow := h["Access-Control-Allow-Origin"]
	if len(allow) == 0 || allow[0] == "*" {
		return
	}
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "Origin") {
				return
			}
		}
	}
	h["Vary"] = append(slices.Clone(h["Vary"]), "Origin")
}

// headerOf is the stored header of e, nil where nothing is stored.
func headerOf(e *store.Entry) http.Header {
	if e == nil {
		return nil
	}
	return e.Representations[0].Header()
}

// status is that of the response, or the one that its failure is answered with.
func (a *answer) status() int {
	if a.err != nil {
		return failureOf(a.err).status
	}
	return a.facts.Status
}

// failure is what a client is told who can't be given the answer, or anything in its place.
func (a *answer) failure() *failure {
	if a.err != nil {
		return failureOf(a.err)
	}
	return &failure{status: a.facts.Status, detail: "the upstream answers with an error"}
}

// discard lets go of the response.
func (a *answer) discard() { discard(a.resp) }

// discard lets go of a response nobody wants.
func discard(resp *http.Response) {
	if resp != nil {
		_ = resp.Body.Close() // nothing more is expected of it
	}
}

// call is what the origin's side has noted of a fill's call, copied for the client that it was made for: that client's own Event belongs to
// its goroutine.
type call struct {
	upstream, target string
	tries            int
	firstByte        time.Duration
	err              error
	proxyStatus      string
}

func callOf(ev *observe.Event) *call {
	return &call{ev.Upstream, ev.Target, ev.Tries, ev.FirstByte, ev.Err, ev.ProxyStatus}
}

// note puts the facts into the client's Event.
func (k *call) note(ev *observe.Event) {
	if k == nil {
		return
	}
	ev.Upstream, ev.Target, ev.Tries, ev.FirstByte = k.upstream, k.target, k.tries, k.firstByte
	ev.Err, ev.ProxyStatus = k.err, k.proxyStatus
}
