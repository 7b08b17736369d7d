package build

import (
	"context"
	"errors"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/write"
)

// routeQueue shows the queued writes to a route's reads.
type routeQueue struct {
	store write.Store
	rules *cachepolicy.Rules
}

var _ entry.Queue = (*routeQueue)(nil)

// Held reports whether this instance knows of a queued write to the URL of k. It does not ask the
// queue.
func (q *routeQueue) Held(k cachepolicy.Key) bool {
	parts, ok := k.Parts()
	return ok && q.store.Held().May(parts.Host, parts.Path, parts.Query)
}

// Newest returns the newest write to r's URL, as far as r may see it. A write with credentials is
// shown only to a reader with the same credentials, because only the origin knows which other
// clients may read it.
func (q *routeQueue) Newest(r *http.Request, request *cachepolicy.Request) entry.Queued {
	query := q.rules.KeyQuery(request.RawQuery)
	w, err := q.store.Newest(r.Context(), write.SeenName(request.Host, request.Path, query))
	switch {
	case errors.Is(err, write.ErrUnknown):
		return entry.Queued{}
	case err != nil: // If the queue can't be read, clients still can, and this instance still knows its own queued writes.
		return entry.Queued{Pending: q.store.Held().May(request.Host, request.Path, query)}
	case !w.Who.IsZero() && w.Who != write.Credentials(r.Header, observe.FromContext(r.Context()).Credential):
		return entry.Queued{Pending: true}
	}
	return entry.Queued{Pending: true, Method: w.Method, Header: w.Header, Body: w.Body, At: w.Accepted}
}

// Changes reports whether a queued write changes the response under k. It asks the queue, so that
// it also knows the writes of other instances.
func (q *routeQueue) Changes(ctx context.Context, k cachepolicy.Key) bool {
	parts, ok := k.Parts()
	if !ok {
		return false
	}
	_, err := q.store.Newest(ctx, write.SeenName(parts.Host, parts.Path, parts.Query))
	return err == nil || !errors.Is(err, write.ErrUnknown) && q.store.Held().May(parts.Host, parts.Path, parts.Query)
}
