package config

import (
	"net/netip"
	"time"
)

// The tags of the structs in this file and the config_*.go beside it are read by the decoder, the printer and the schema:
//
//	key       the key in the file
//	as        how the value is written: "size" (8MiB), "share" (20%) or one of textKinds; of a list and map, its values
//	keyas     how the keys of a map are written
//	enum      the values allowed, separated by |
//	later     values that are known, but not supported by this version
//	only      the one value that this version supports
//	min, max  bounds of a number or duration; of a map by status, its keys'
//	required  must be written
//	print     "always": printed also when it is zero, because leaving it out means something else

// Config is the configuration of a gateway.
type Config struct {
	// Version of the configuration's format; 1.
	Version int `key:"version" enum:"1"`
	// Server is what clients connect to.
	Server Server `key:"server"`
	// Admin is the listener for operators.
	Admin Admin `key:"admin"`
	// Telemetry is what the gateway says of itself.
	Telemetry Telemetry `key:"telemetry"`
	// Cache holds the stores that all routes share.
	Cache Stores `key:"cache"`
	// Writes is the queue of the routes whose writes are applied later.
	Writes WriteQueue `key:"writes"`
	// Upstreams are the origins that routes name, by name.
	Upstreams map[string]*Upstream `key:"upstreams" keyas:"name" required:"true"`
	// Routes say what happens to which requests. The most specific path wins, the order does not matter.
	Routes []*Route `key:"routes" required:"true"`
	// Cost says what the traffic costs; nil: no account is kept.
	Cost *Cost `key:"cost"`
}

// Server is the client side of the gateway.
type Server struct {
	// Listen has one entry for each address to listen on.
	Listen []Listener `key:"listen"`
	// TrustedProxies are the networks whose X-Forwarded-* and Forwarded fields are believed; from all others they are dropped.
	TrustedProxies []netip.Prefix `key:"trusted_proxies"`
	// Limits bound what a client may send.
	Limits Limits `key:"limits"`
	// Timeouts bound how long a client may take.
	Timeouts ServerTimeouts `key:"timeouts"`
}

// Listener is one address that clients connect to.
type Listener struct {
	// Address is host:port, or :port for all interfaces.
	Address string `key:"address" required:"true" as:"address"`
	// H2C accepts HTTP/2 by prior knowledge on a plain listener.
	H2C bool `key:"h2c"`
	// HTTP3 would serve HTTP/3 beside HTTPS.
	HTTP3 bool `key:"http3" only:"false"`
	// Wire answers plain hits in memory on the connection itself, at a third of the cost. The answers are the same; false is for finding out.
	Wire bool `key:"wire" print:"always"`
	// TLS makes it an HTTPS listener with HTTP/1.1 and HTTP/2 by ALPN; nil: plain.
	TLS *ListenerTLS `key:"tls"`
}

// ListenerTLS is the TLS side of a listener.
type ListenerTLS struct {
	// Certificates to choose from by SNI; the first is the default.
	Certificates []Certificate `key:"certificates" required:"true"`
}

// Certificate names the two PEM files of a certificate. They are reread when they change.
type Certificate struct {
	// Cert is the file of the certificate chain.
	Cert string `key:"cert" required:"true" as:"file"`
	// Key is the file of the private key.
	Key string `key:"key" required:"true" as:"file"`
}

// Limits bound what a client may send. Each has the status it answers with when it is exceeded.
type Limits struct {
	// HeaderBytes bounds the header section: 431.
	HeaderBytes int64 `key:"header_bytes" as:"size" min:"1"`
	// BodyBytes bounds a request's body, also a chunked one: 413. Routes may override it; 0: no limit.
	BodyBytes int64 `key:"body_bytes" as:"size"`
	// URLBytes bounds the request target: 414.
	URLBytes int64 `key:"url_bytes" as:"size" min:"1"`
	// QueryParams bounds the number of query parameters: 400.
	QueryParams int `key:"query_params" min:"0"`
	// Connections bounds the open client connections.
	Connections int `key:"connections" min:"1"`
}

// ServerTimeouts bound how long a client may take; 0: no bound.
type ServerTimeouts struct {
	// ReadHeader is the time for the header section of a request.
	ReadHeader time.Duration `key:"read_header"`
	// Read is the time for a whole request.
	Read time.Duration `key:"read"`
	// Write is the time for a whole response.
	Write time.Duration `key:"write"`
	// Idle is how long a connection is kept between requests.
	Idle time.Duration `key:"idle"`
	// Drain is how long requests in flight may take when the gateway stops.
	Drain time.Duration `key:"drain"`
}

// Admin is the operators' own listener, never the public one.
type Admin struct {
	// Address is host:port, or unix:/path for a unix socket.
	Address string `key:"address" as:"admin_address"`
	// Token is the Bearer token asked for. Without one the listener must be loopback or a unix socket.
	Token string `key:"token" as:"token"`
}

// Stores are the tiers that the routes' caches share.
type Stores struct {
	// Memory is the tier inside the process.
	Memory MemoryStore `key:"memory"`
	// Redis is the tier that the instances share; nil: each instance caches for itself.
	Redis *RedisStore `key:"redis"`
}

// MemoryStore is the cache tier inside the process.
type MemoryStore struct {
	// Size is the number of bytes that all stored responses together may take.
	Size int64 `key:"size" as:"size" min:"1"`
	// MaxObject is the size above which a response is streamed and not kept.
	MaxObject int64 `key:"max_object" as:"size" min:"1"`
}

// RedisStore is the cache tier that instances share: one server, a Sentinel group, or a Cluster.
type RedisStore struct {
	// URL is redis://host:port/0, rediss:// for TLS, redis+sentinel://host:port,host:port/name/0, or redis+cluster://host:port,host:port;
	// with user:password@ in front of the first host where the server asks for it.
	URL string `key:"url" as:"redis_url" required:"true"`
	// Prefix is the name space: gateways with one prefix share entries and purges.
	Prefix string `key:"prefix" as:"name"`
	// Timeout is the most that a request loses to a slow or lost Redis; then a breaker skips it until it is back.
	Timeout time.Duration `key:"timeout" min:"1ms"`
	// MaxObject is the size above which an object stays in memory alone.
	MaxObject int64 `key:"max_object" as:"size" min:"1"`
	// Compress stores bodies without a content coding compressed.
	Compress bool `key:"compress" print:"always"`
	// Preload is how many of the objects that were used most an instance loads when it starts; 0: none.
	Preload int `key:"preload" min:"0" max:"100000"`
}
