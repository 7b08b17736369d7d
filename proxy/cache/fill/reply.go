package fill

import (
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/store"
)

// Reply describes the response to deliver and the reason for it. Exactly one of Entry, Inflight,
// Response and Failure is set.
type Reply struct {
	Entry    *store.Entry
	Inflight *Inflight        // a running fill, whose body the client reads while it grows
	Response *http.Response   // for this client alone
	Failure  *deliver.Failure // an error response of the gateway itself
	// Source reads the body of Inflight. The leader's source is opened before the first byte
	// arrives, so that no byte is dropped before the leader reads.
	Source   *deliver.Source
	Leads    bool        // true if this request's own call produced Inflight
	Personal http.Header // of a 304 that confirmed Entry: the fields for this client alone
	// Substituted is true if Response is a custom error page. The client's conditions have not been
	// evaluated for it.
	Substituted bool
	Call        *CallFacts // the call that a fill made for this reply; nil: no call, or the client made its own
	Tier        string     // the tier of Entry, if it is not the first tier of the lookup
	Decision    cachepolicy.Decision
	Status      cachepolicy.CacheStatus
}

// Flight is the flight of a fill.
type Flight = flight.Flight[FlightKey, *Inflight]

// Drop releases a reply that no client takes.
func (r *Reply) Drop() {
	deliver.Discard(r.Response)
	if r.Source != nil {
		r.Source.Close()
	}
}
