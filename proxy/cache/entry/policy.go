package entry

import (
	"context"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
)

// Policy says how the responses of a route are stored. It is immutable and safe for concurrent use.
type Policy struct {
	Rules       *cachepolicy.Rules
	Tags        Tags
	Tiers       Tiers
	Compress    *compress.Policy // nil: no coding is made for this route
	MaxObject   int64            // bytes; a larger body is streamed and not stored
	MaxVariants int              // of one object
	// Queue holds the accepted writes that are not yet applied and that reads must see. It is nil
	// if the route queues no writes.
	Queue Queue
}

// Tiers are the stores that a route uses.
type Tiers struct {
	Memory bool // within the process
	Shared bool // shared by all instances
}

// Codings returns the content codings of the route.
func (p *Policy) Codings() Codings {
	return Codings{Policy: p.Compress, MaxObject: p.MaxObject}
}

// Derivable returns the codings that can be made of a response with this header. coding is the
// response's own coding and size its body's size, -1 if unknown.
func (p *Policy) Derivable(status int, h http.Header, size int64, coding compress.Coding) compress.Set {
	return p.Codings().Derivable(status, h, size, coding)
}

// Outgrows reports whether a complete response of size bytes (-1: not known) is too large to be
// stored.
func (p *Policy) Outgrows(m *cachepolicy.Meta, size int64) bool {
	return m.Complete() && size > p.MaxObject
}

// OnHold reports whether the queue must be asked before a stored response may answer a request with
// the key k.
func (p *Policy) OnHold(k cachepolicy.Key) bool { return p.Queue != nil && p.Queue.Held(k) }

// Changes reports whether a queued write is going to change the response stored under k. A fill
// asks after its response has arrived and before it stores that response. A write that is accepted
// later removes the stored response.
func (p *Policy) Changes(ctx context.Context, k cachepolicy.Key) bool {
	return p.Queue != nil && p.Queue.Changes(ctx, k)
}

// WhyNoCoding returns the reason why the gateway makes no coding of a response, or ReasonNone if it
// may make one.
func (p *Policy) WhyNoCoding(status int, h http.Header, size int64, coding compress.Coding) compress.Reason {
	if p.Compress == nil {
		return compress.ReasonOff
	}
	_, why := p.Compress.Eligible(status, h, size, coding)
	return why
}
