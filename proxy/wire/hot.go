package wire

import (
	"net/netip"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// Hot answers requests from memory. It may be called concurrently, and keeps nothing of what it is given.
type Hot interface {
	// Answer completes a and reports true, if what is in memory answers r as net/http's handler would. Else it may set a.Handed.
	Answer(r *Request, a *Answer) bool
	// Sent is told of an answer once it has been written.
	Sent(h *observe.Hit)
	// SameHost reports whether an absolute target's authority and a Host field name the same host.
	SameHost(authority, host string, peer *Peer) bool
}

// Peer is what is known of a connection whatever is asked on it.
type Peer struct {
	Addr  netip.Addr // invalid where the peer has no IP address
	TLS   bool
	Shard uint32 // spreads what is counted per connection
}

// Answer is a response of which Head is to be appended to, and Body is to be set to the content, in pieces that nobody changes.
type Answer struct {
	Now  time.Time // when the request had come
	Head []byte    // status line and fields, with the empty line that ends them
	Body [][]byte  // nil: none
	Hit  *observe.Hit
	// Handed is what was found out about a request that is not answered.
	Handed Handed
}
