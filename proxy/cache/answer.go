package cache

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// answer is an origin's response, or its failure. It holds the facts that cachepolicy needs beside
// the response itself.
type answer struct {
	facts cachepolicy.Answer
	resp  *http.Response // nil if err is set
	tags  []string       // the tags from its header; nil: it has no tag fields
	err   error
}

// call makes one call to the origin and describes the answer in a, after the route's own changes to
// the header. stored is the response that the answer may update; it may be nil. While such a call
// runs, the object counts as pending.
func (c *Cache) call(a *answer, x *request, out *http.Request, stored *store.Entry) {
	if stored != nil {
		defer c.pending.begin(x.key.Hash)()
	}
	c.ask(a, x, out, stored)
	a.receive(x)
}

// ask makes one call to the origin and describes the answer in a. It leaves the header of the
// response unchanged.
func (c *Cache) ask(a *answer, x *request, out *http.Request, stored *store.Entry) {
	sent := c.Now()
	resp, err := x.res.Origin.RoundTrip(out)
	*a = answer{resp: resp, err: err, facts: cachepolicy.Answer{Sent: sent, Received: c.Now(), Stored: entry.HeaderOf(stored)}}
	if err != nil {
		a.facts.Failure = deliver.FailureKind(err)
	}
}

// receive applies the route's changes to the header of the response and takes its tags out. It does
// nothing if the origin failed.
func (a *answer) receive(x *request) {
	if a.resp == nil {
		return
	}
	if x.res.Respond != nil {
		x.res.Respond(&x.q, observe.FromContext(x.ctx), a.resp.Header)
	}
	x.res.Rules.ApplyCacheControl(&x.q, a.resp.StatusCode, a.resp.Header)
	a.tags = x.res.Tags.Lift(a.resp.Header)
	varyOnOrigin(a.resp.Header)
	a.facts.Status, a.facts.Header = a.resp.StatusCode, a.resp.Header
}

// varyOnOrigin adds "Origin" to the Vary of a response that allows one origin (Fetch, section
// 3.2.5). Many servers that reflect the request's Origin forget it. Without it the stored response
// would lock out clients from other origins, or admit a client from the wrong one.
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

// status returns the status of the response. If the origin failed, it returns the status of the
// error response for that failure.
func (a *answer) status() int {
	if a.err != nil {
		return deliver.FailureOf(a.err).Status
	}
	return a.facts.Status
}

// failure returns the error that a client gets if the gateway can give it neither the answer nor a
// replacement.
func (a *answer) failure() *deliver.Failure {
	if a.err != nil {
		return deliver.FailureOf(a.err)
	}
	return &deliver.Failure{Status: a.facts.Status, Detail: "the upstream answers with an error"}
}

// discard closes the response without reading the rest of it.
func (a *answer) discard() { deliver.Discard(a.resp) }

// call is a copy of the facts that a fill's Event holds about its call to the origin. The fill's
// leader copies them into its own Event, which only the leader's goroutine may write.
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

// note copies the facts into the client's Event. It does nothing if k is nil.
func (k *call) note(ev *observe.Event) {
	if k == nil {
		return
	}
	ev.Upstream, ev.Target, ev.Tries, ev.FirstByte = k.upstream, k.target, k.tries, k.firstByte
	ev.Err, ev.ProxyStatus = k.err, k.proxyStatus
}
