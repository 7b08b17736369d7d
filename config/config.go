package config

import (
	"net/netip"
	"time"
)

// The decoder, the printer and the schema read the tags of the structs in this file and in
// config_*.go:
//
//	key       the key in the file
//	as        how the value is written: "size" (8MiB), "share" (20%) or one of textKinds; for a list or map, its values
//	keyas     how the keys of a map are written
//	enum      the allowed values, separated by |
//	later     values that are known, but not supported by this version
//	only      the single value that this version supports
//	min, max  bounds of a number or duration; for a map by status, bounds of its keys
//	required  the key must be written
//	empty     an empty list is an error, because it would mean the same as an
//	          omitted list; the tag says what to write instead
//	print     "always": printed even if it is zero, because omitting it means something else

// Config is the configuration of a gateway.
type Config struct {
	// Version is the version of the configuration format; 1.
	Version int `key:"version" enum:"1"`
	// Server is the side of the gateway that faces clients.
	Server Server `key:"server"`
	// Admin is the listener for operators.
	Admin Admin `key:"admin"`
	// Telemetry configures traces, metrics and the access log.
	Telemetry Telemetry `key:"telemetry"`
	// Cache configures the stores that all routes share.
	Cache Stores `key:"cache"`
	// Writes is the queue for routes whose writes are applied later.
	Writes WriteQueue `key:"writes"`
	// Upstreams are the origins, by the name that routes refer to.
	Upstreams map[string]*Upstream `key:"upstreams" keyas:"name" required:"true"`
	// Routes say how the gateway handles which requests. The most specific path wins; the order of
	// the routes does not matter.
	Routes []*Route `key:"routes" required:"true"`
	// Cost holds the prices of the traffic. If it is omitted, the gateway keeps no account.
	Cost *Cost `key:"cost"`
}

// Server is the client side of the gateway.
type Server struct {
	// Listen has one entry for each address to listen on.
	Listen []Listener `key:"listen"`
	// TrustedProxies are the networks whose X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host
	// (or Forwarded) the gateway trusts. It drops these fields from all other clients. The trusted
	// host is the request's host for routing, cache key, upstream and purges. If a field has
	// several values, the last one counts. X-Forwarded-* takes precedence over Forwarded, and an
	// invalid host is ignored. Other fields that name another host, URL, prefix or method
	// (X-Original-URL, X-Forwarded-Prefix, X-HTTP-Method-Override and the like) are dropped from
	// every client, unless a route names them in cache.key.headers.
	TrustedProxies []netip.Prefix `key:"trusted_proxies"`
	// Limits bound the size and number of a client's messages.
	Limits Limits `key:"limits"`
	// Timeouts bound the time that a client may take.
	Timeouts ServerTimeouts `key:"timeouts"`
}

// Listener is one address to which clients connect.
type Listener struct {
	// Address is host:port, or :port for all interfaces.
	Address string `key:"address" required:"true" as:"address"`
	// H2C accepts HTTP/2 with prior knowledge on a listener without TLS.
	H2C bool `key:"h2c"`
	// HTTP3 would serve HTTP/3 beside HTTPS; this version does not support it.
	HTTP3 bool `key:"http3" only:"false"`
	// Wire answers simple hits from memory directly on the connection, at a third of the cost. The
	// answers are the same. Set it to false only to find the cause of a problem.
	Wire bool `key:"wire" print:"always"`
	// TLS makes it an HTTPS listener with HTTP/1.1 and HTTP/2 by ALPN. If it is omitted, the
	// listener has no TLS.
	TLS *ListenerTLS `key:"tls"`
}

// ListenerTLS is the TLS configuration of a listener.
type ListenerTLS struct {
	// Certificates are chosen by SNI. The first one is the default.
	Certificates []Certificate `key:"certificates" required:"true"`
}

// Certificate names the two PEM files of a certificate. The gateway rereads them when they change.
type Certificate struct {
	// Cert is the file of the certificate chain.
	Cert string `key:"cert" required:"true" as:"file"`
	// Key is the file of the private key.
	Key string `key:"key" required:"true" as:"file"`
}

// Limits bound the size and number of a client's messages. If a request exceeds a limit, the
// gateway answers with the status given for the limit.
type Limits struct {
	// HeaderBytes bounds the header section: 431.
	HeaderBytes int64 `key:"header_bytes" as:"size" min:"1"`
	// BodyBytes bounds a request's body, even a chunked one: 413. Routes may override it. 0 means
	// no limit.
	BodyBytes int64 `key:"body_bytes" as:"size"`
	// URLBytes bounds the request target: 414.
	URLBytes int64 `key:"url_bytes" as:"size" min:"1"`
	// QueryParams bounds the number of query parameters: 400.
	QueryParams int `key:"query_params" min:"0"`
	// Connections bounds the open client connections. If all are in use, a new client replaces the
	// connection that has been idle for longest. If no connection is idle, it replaces one whose
	// client has stalled within a request: the client has sent no byte of a body for 1 s, or read
	// no byte of an HTTP/2 response for 5 s.
	Connections int `key:"connections" min:"1"`
}

// ServerTimeouts bound the time that a client may take. 0 means no bound.
type ServerTimeouts struct {
	// ReadHeader is the time for the header section of a request.
	ReadHeader time.Duration `key:"read_header"`
	// Read is the time for a whole request with its body.
	Read time.Duration `key:"read"`
	// ReadStall is the longest time without a byte of a request's body: 408.
	ReadStall time.Duration `key:"read_stall"`
	// Write is the time for a whole response.
	Write time.Duration `key:"write"`
	// WriteStall is the longest time in which a client reads nothing of a response. Then the
	// gateway closes the connection, or resets the stream over HTTP/2. A slow client may continue:
	// over HTTP/1.1 each acknowledged TCP segment counts as progress, and over HTTP/2 each frame of
	// up to 16 KiB.
	WriteStall time.Duration `key:"write_stall"`
	// Idle is how long a connection stays open between requests.
	Idle time.Duration `key:"idle"`
	// Drain is how long requests in flight may take when the gateway stops.
	Drain time.Duration `key:"drain"`
}

// Admin is the operators' own listener, which is never the public one.
type Admin struct {
	// Address is host:port, or unix:/path for a unix socket.
	Address string `key:"address" as:"admin_address"`
	// Token is the Bearer token that a request must carry. Without a token the address must be
	// loopback or a unix socket.
	Token string `key:"token" as:"token"`
}

// Stores are the tiers that the routes' caches share.
type Stores struct {
	// Memory is the tier inside the process.
	Memory MemoryStore `key:"memory"`
	// Redis is the tier that the instances share. If it is omitted, each instance has only its own
	// cache.
	Redis *RedisStore `key:"redis"`
}

// MemoryStore is the cache tier inside the process.
type MemoryStore struct {
	// Size bounds the bytes of all stored responses together.
	Size int64 `key:"size" as:"size" min:"1"`
	// MaxObject is the largest response that is stored. A larger one is streamed and not kept.
	MaxObject int64 `key:"max_object" as:"size" min:"1"`
}

// RedisStore is the cache tier that instances share: one server, a Sentinel group, or a Cluster.
type RedisStore struct {
	// URL is redis://host:port/0, rediss:// for TLS, redis+sentinel://host:port,host:port/name/0,
	// or redis+cluster://host:port,host:port. If the server requires a password, write
	// user:password@ before the first host.
	URL string `key:"url" as:"redis_url" required:"true"`
	// Prefix is the name space. Gateways with the same prefix share entries and purges.
	Prefix string `key:"prefix" as:"name"`
	// Timeout bounds the time that a request loses to a slow or unreachable Redis. After failures,
	// a breaker skips Redis until it is back.
	Timeout time.Duration `key:"timeout" min:"1ms"`
	// MaxObject is the largest object that Redis stores. A larger one stays in memory only.
	MaxObject int64 `key:"max_object" as:"size" min:"1"`
	// Compress stores bodies without a content coding in compressed form.
	Compress bool `key:"compress" print:"always"`
	// MaxCutOff is how long an instance serves stored responses while it can't receive the purges
	// of other instances. After that it validates each stored response with the origin before use,
	// until it has read the purges that it missed. During this time, purges report the instance as
	// missing. With 0 it keeps serving them, and purges report it as missing for an hour.
	MaxCutOff time.Duration `key:"max_cut_off" min:"0s" print:"always"`
	// Preload is the number of the most used objects that an instance loads when it starts. 0
	// turns this off.
	Preload int `key:"preload" min:"0" max:"100000"`
}
