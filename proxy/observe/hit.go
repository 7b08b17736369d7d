package observe

import (
	"net/netip"
	"time"
)

// Hit describes a response that the connection answered from memory without a handler. Each
// connection reuses one Hit, so a sink must not keep it.
type Hit struct {
	Route    string
	Method   string // "GET" or "HEAD"
	Status   int
	ClientIP netip.Addr
	Scheme   string // "http" or "https"
	Host     string // canonical
	Key      uint64 // the beginning of the key's hash
	// Head is the request as received, or in HTTP/1.1 form with the version of the request line
	// unchanged. The connection owns the bytes.
	Head     []byte
	Start    time.Time
	Took     time.Duration // from the request's last byte to the response's last byte
	BytesIn  int64         // of the request with its head
	BytesOut int64         // of the response's content without its head
	// BytesSaved is the number of content bytes that compression in the gateway saved.
	BytesSaved int64
	Age, TTL   time.Duration
	Hidden     string // as in Event
	Coding     string // of the content; "" for identity
	// ContentType and ETag belong to the representation, even if its content was not sent.
	ContentType, ETag string
	Traced            bool   // a span must be emitted for it
	Trusted           bool   // the peer's trace context is trusted; read only if Traced is set
	Pattern           string // of the route's paths; set if Traced is set
	Shard             uint32 // equal for all hits of a connection, so that sharded counters rarely contend
}

// Sampler decides whether a request is traced before a handler sees it. It may be called
// concurrently and must not allocate.
type Sampler interface {
	// Sample gets the Traceparent field of a trusted peer, or "". It must not keep the argument.
	Sample(traceparent string) bool
}
