package config

import (
	"net/url"
	"time"
)

// Upstream is a set of targets that answer alike.
type Upstream struct {
	// Name is the upstream's key in the file.
	Name string
	// Targets are the servers: a URL each, or a URL with a weight.
	Targets []Target `key:"targets" required:"true"`
	// Balance is how a target is chosen.
	Balance Balance `key:"balance" enum:"p2c|round_robin|least_conn|hash"`
	// HashOn is what `balance: hash` hashes: header:NAME, cookie:NAME, path or client_ip.
	HashOn HashOn `key:"hash_on"`
	// Pool bounds the connections to each target.
	Pool Pool `key:"pool"`
	// Timeouts bound how long the upstream may take.
	Timeouts UpstreamTimeouts `key:"timeouts"`
	// Protocol is what is spoken to the targets.
	Protocol Protocol `key:"protocol" enum:"h1|h2|h2c|auto"`
	// TLS is for https targets.
	TLS UpstreamTLS `key:"tls"`
	// PreserveHost sends the client's Host on; else it is the target's.
	PreserveHost bool `key:"preserve_host"`
}

// Target is one server of an upstream.
type Target struct {
	// URL is scheme, host and port.
	URL *url.URL `key:"url" required:"true"`
	// Weight is the target's share of the traffic, relative to the others'.
	Weight int `key:"weight" min:"1" max:"1000"`
}

// Balance is how a target is chosen.
type Balance string

const (
	BalanceP2C        Balance = "p2c"         // the less busy of two chosen at random
	BalanceRoundRobin Balance = "round_robin" // one after the other, by weight
	BalanceLeastConn  Balance = "least_conn"  // the one with the fewest requests in flight
	BalanceHash       Balance = "hash"        // the one that HashOn's value maps to
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

// HashOn is what BalanceHash hashes.
type HashOn struct {
	Source HashSource
	Name   string // of the field or cookie
}

// Pool bounds the connections to one target.
type Pool struct {
	// Min is how many idle connections are kept open.
	Min int `key:"min" min:"0"`
	// Max is how many connections there are at most; 0: no bound.
	Max int `key:"max" min:"0"`
	// IdleTimeout closes a connection that was not used for so long.
	IdleTimeout time.Duration `key:"idle_timeout"`
	// Wait is how long a request waits for a connection before it is answered with 503.
	Wait time.Duration `key:"wait"`
}

// UpstreamTimeouts bound one call to an upstream; 0: no bound.
type UpstreamTimeouts struct {
	// Connect is the time for a connection, the TLS handshake included.
	Connect time.Duration `key:"connect"`
	// FirstByte is the time from the request sent to the response's header.
	FirstByte time.Duration `key:"first_byte"`
	// Idle is the longest silence within a response's body.
	Idle time.Duration `key:"idle"`
	// Total is the time for the whole call; it does not bound upgraded connections.
	Total time.Duration `key:"total"`
}

// Protocol is what is spoken to a target.
type Protocol string

const (
	ProtocolH1   Protocol = "h1"   // HTTP/1.1
	ProtocolH2   Protocol = "h2"   // HTTP/2 over TLS
	ProtocolH2C  Protocol = "h2c"  // HTTP/2 over plain TCP by prior knowledge
	ProtocolAuto Protocol = "auto" // HTTP/2 where ALPN offers it, else HTTP/1.1
)

// UpstreamTLS is how https targets are verified.
type UpstreamTLS struct {
	// CA is a PEM file of the authorities to trust; "": the system's.
	CA string `key:"ca"`
	// ServerName is the name to verify and to send as SNI; "": the target's host.
	ServerName string `key:"server_name"`
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool `key:"insecure_skip_verify"`
}
