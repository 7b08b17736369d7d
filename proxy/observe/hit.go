package observe

import (
	"net/netip"
	"time"
)

// Hit is a response that the connection answered from memory by itself. There is one for each connection, used again for each hit: a sink
// keeps nothing of it.
type Hit struct {
	Route    string
	Method   string // "GET" or "HEAD"
	Status   int
	ClientIP netip.Addr
	Scheme   string // "http" or "https"
	Host     string // canonical
	Key      uint64 // the beginning of the key's hash
	Head     []byte // the request as it came, or as HTTP/1.1 has it but for the version that its first line, the request line, names; the bytes are the connection's own
	Start    time.Time
	Took     time.Duration // from the request's last byte to the response's
	BytesIn  int64         // of the request, head included
	BytesOut int64         // of the response's content, without its head
	// BytesSaved is what was not sent of the content because it was coded here.
	BytesSaved int64
	Age, TTL   time.Duration
	Coding     string // of the content, "" for identity
	// ContentType and ETag are of the representation, also where its content was not sent.
	ContentType, ETag string
	Traced            bool   // a span is to be made of it
	Trusted           bool   // the peer's word on the trace is taken; looked at where Traced
	Pattern           string // of the route's paths; set where Traced
	Shard             uint32 // the same for all hits of a connection: counters that are split by it are seldom contended
}

// Sampler decides whether a request is traced before a handler has seen it. It may be called concurrently, and must not allocate.
type Sampler interface {
	// Sample is given the Traceparent field of a peer that is trusted, else "". What it is given is not kept.
	Sample(traceparent string) bool
}
