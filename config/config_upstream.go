package config

import (
	"net/url"
	"time"
)

// Upstream is a set of targets that give the same answers.
type Upstream struct {
	// Name is the upstream's key in the file.
	Name string
	// Targets are the servers, each written as a URL, or as a URL with a weight.
	Targets []Target `key:"targets" required:"true"`
	// Balance is how the gateway chooses a target. If a target can't be connected to, or answers
	// with five errors (500, 502, 503, 504) in a row, the gateway skips it for 1 s, and for up to
	// 10 s if it fails again. If a target refuses the connection, the request goes to another
	// target, whatever its method.
	Balance Balance `key:"balance" enum:"p2c|round_robin|least_conn|hash"`
	// HashOn is the value that `balance: hash` hashes: header:NAME, cookie:NAME, path or client_ip.
	HashOn HashOn `key:"hash_on"`
	// Pool bounds the connections to each target.
	Pool Pool `key:"pool"`
	// Timeouts bound the time that the upstream may take.
	Timeouts UpstreamTimeouts `key:"timeouts"`
	// Protocol is the protocol of the targets.
	Protocol Protocol `key:"protocol" enum:"h1|h2|h2c|auto"`
	// TLS configures https targets.
	TLS UpstreamTLS `key:"tls"`
	// PreserveHost forwards the client's Host. Without it, the request carries the target's host.
	PreserveHost bool `key:"preserve_host"`
}

// Target is one server of an upstream.
type Target struct {
	// URL is scheme, host and port.
	URL *url.URL `key:"url" required:"true"`
	// Weight is the target's share of the traffic, relative to the other targets.
	Weight int `key:"weight" min:"1" max:"1000"`
}

// Balance is how the gateway chooses a target.
type Balance string

const (
	BalanceP2C        Balance = "p2c"         // the less busy of two targets chosen at random
	BalanceRoundRobin Balance = "round_robin" // one after the other, by weight
	BalanceLeastConn  Balance = "least_conn"  // the target with the fewest requests in flight
	BalanceHash       Balance = "hash"        // the target to which the hash of HashOn's value maps
)

// HashSource is the kind of value that BalanceHash hashes.
type HashSource string

const (
	HashNone     HashSource = ""          // the balance is not by hash
	HashHeader   HashSource = "header"    // a request field
	HashCookie   HashSource = "cookie"    // a cookie
	HashPath     HashSource = "path"      // the path
	HashClientIP HashSource = "client_ip" // the client's address
)

// HashOn is the value that BalanceHash hashes.
type HashOn struct {
	Source HashSource
	Name   string // name of the field or cookie
}

// Pool bounds the connections to one target.
type Pool struct {
	// Min is the number of idle connections that stay open.
	Min int `key:"min" min:"0"`
	// Max bounds the concurrent calls to the target. Each uses its own connection, except that an
	// HTTP/2 connection carries 100 calls. 0 means no bound. A call counts from its request, once
	// the client has sent the first bytes of the body, until its answer ends. Upgraded connections,
	// streams (text/event-stream, multipart/x-mixed-replace) and gRPC calls count until their
	// answer begins, and in `upgraded` after that. Every other answer counts until it ends,
	// including long polls and endless chunked answers: raise `max` for them, or use a separate
	// upstream. If other calls are waiting, a call whose own client neither sends nor reads gives
	// up its place and counts in `upgraded` too.
	Max int `key:"max" min:"0"`
	// IdleTimeout closes a connection that was idle for this time.
	IdleTimeout time.Duration `key:"idle_timeout"`
	// Wait is how long a request waits for a connection. After that it gets 503 and Retry-After.
	Wait time.Duration `key:"wait"`
	// Upgraded bounds the upgraded connections (WebSocket), the streams and the calls with stalled
	// clients, in addition to `max`. 0 means no bound. An upgrade above it gets 503 and
	// Retry-After, without a call to the target. An upgraded connection has no time limit. TCP
	// keep-alive probes both ends, and the gateway closes the connection if one of them reads
	// nothing for server.timeouts.write_stall.
	Upgraded int `key:"upgraded" min:"0"`
}

// UpstreamTimeouts bound one call to an upstream. 0 means no bound. Routes may override all except
// connect.
type UpstreamTimeouts struct {
	// Connect is the time for a connection with its TLS handshake.
	Connect time.Duration `key:"connect"`
	// FirstByte is the time from the sent request to the response's header.
	FirstByte time.Duration `key:"first_byte"`
	// Idle is the longest pause within a response's body, and the longest time in which the target
	// reads nothing of a request. Streams (text/event-stream, multipart/x-mixed-replace), gRPC
	// calls and upgraded connections may be silent for any time; TCP keep-alive detects a lost
	// target.
	Idle time.Duration `key:"idle"`
	// Total is the time for the whole call, whether its client reads or not. It does not bound
	// upgraded connections.
	Total time.Duration `key:"total"`
}

// Protocol is the protocol of a target.
type Protocol string

const (
	ProtocolH1   Protocol = "h1"   // HTTP/1.1
	ProtocolH2   Protocol = "h2"   // HTTP/2 over TLS
	ProtocolH2C  Protocol = "h2c"  // HTTP/2 over plain TCP with prior knowledge
	ProtocolAuto Protocol = "auto" // HTTP/2 if ALPN offers it, otherwise HTTP/1.1
)

// UpstreamTLS says how the gateway verifies https targets.
type UpstreamTLS struct {
	// CA is a PEM file of the trusted authorities. "" means the system's authorities.
	CA string `key:"ca"`
	// ServerName is the name to verify and to send as SNI. "" means the target's host.
	ServerName string `key:"server_name"`
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool `key:"insecure_skip_verify"`
}
