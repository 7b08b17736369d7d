package fill

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

// Answer is an origin's response, or its failure. It holds the facts that cachepolicy needs beside
// the response itself.
type Answer struct {
	Facts    cachepolicy.Answer
	Response *http.Response // nil if err is set
	Tags     []string       // the tags from its header; nil: it has no tag fields
	Err      error
}

// Call makes one call to the origin and describes the answer in a, after the route's own changes to
// the header. stored is the response that the answer may update; it may be nil. While such a call
// runs, the object counts as pending.
func (fl *Filler) Call(a *Answer, x *Request, out *http.Request, stored *store.Entry) {
	if stored != nil {
		defer fl.Pending.begin(x.Key.Hash)()
	}
	fl.Ask(a, x, out, stored)
	a.Receive(x)
}

// Ask makes one call to the origin and describes the answer in a. It leaves the header of the
// response unchanged.
func (fl *Filler) Ask(a *Answer, x *Request, out *http.Request, stored *store.Entry) {
	sent := fl.Now()
	resp, err := x.Route.Origin.RoundTrip(out)
	*a = Answer{Response: resp, Err: err, Facts: cachepolicy.Answer{Sent: sent, Received: fl.Now(), Stored: entry.HeaderOf(stored)}}
	if err != nil {
		a.Facts.Failure = deliver.FailureKind(err)
	}
}

// Receive applies the route's changes to the header of the response and takes its tags out. It does
// nothing if the origin failed.
func (a *Answer) Receive(x *Request) {
	if a.Response == nil {
		return
	}
	if x.Route.Respond != nil {
		x.Route.Respond(&x.View, observe.FromContext(x.Ctx), a.Response.Header)
	}
	x.Route.Rules.ApplyCacheControl(&x.View, a.Response.StatusCode, a.Response.Header)
	a.Tags = x.Route.Tags.Lift(a.Response.Header)
	varyOnOrigin(a.Response.Header)
	a.Facts.Status, a.Facts.Header = a.Response.StatusCode, a.Response.Header
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

// Status returns the status of the response. If the origin failed, it returns the status of the
// error response for that failure.
func (a *Answer) Status() int {
	if a.Err != nil {
		return deliver.FailureOf(a.Err).Status
	}
	return a.Facts.Status
}

// Failure returns the error that a client gets if the gateway can give it neither the answer nor a
// replacement.
func (a *Answer) Failure() *deliver.Failure {
	if a.Err != nil {
		return deliver.FailureOf(a.Err)
	}
	return &deliver.Failure{Status: a.Facts.Status, Detail: "the upstream answers with an error"}
}

// Discard closes the response without reading the rest of it.
func (a *Answer) Discard() { deliver.Discard(a.Response) }

// CallFacts is a copy of the facts that a fill's Event holds about its call to the origin. The
// fill's leader copies them into its own Event, which only the leader's goroutine may write.
type CallFacts struct {
	upstream, target string
	tries            int
	firstByte        time.Duration
	err              error
	proxyStatus      string
}

// CallFactsOf returns the facts about the call that ev records.
func CallFactsOf(ev *observe.Event) *CallFacts {
	return &CallFacts{ev.Upstream, ev.Target, ev.Tries, ev.FirstByte, ev.Err, ev.ProxyStatus}
}

// Note copies the facts into the client's Event. It does nothing if k is nil.
func (k *CallFacts) Note(ev *observe.Event) {
	if k == nil {
		return
	}
	ev.Upstream, ev.Target, ev.Tries, ev.FirstByte = k.upstream, k.target, k.tries, k.firstByte
	ev.Err, ev.ProxyStatus = k.err, k.proxyStatus
}
