package config

import (
	"net/netip"
	"net/url"
	"time"
)

// The tags of the structs in this file are read by the decoder, the printer and the schema:
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
	// Cache holds the stores that all routes share.
	Cache Stores `key:"cache"`
	// Upstreams are the origins that routes name, by name.
	Upstreams map[string]*Upstream `key:"upstreams" keyas:"name" required:"true"`
	// Routes say what happens to which requests. The most specific path wins, the order does not matter.
	Routes []*Route `key:"routes" required:"true"`
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
}

// MemoryStore is the cache tier inside the process.
type MemoryStore struct {
	// Size is the number of bytes that all stored responses together may take.
	Size int64 `key:"size" as:"size" min:"1"`
	// MaxObject is the size above which a response is streamed and not kept.
	MaxObject int64 `key:"max_object" as:"size" min:"1"`
}

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

// Route says what happens to the requests that it matches.
type Route struct {
	// Name identifies the route in keys, metrics and logs.
	Name string `key:"name" required:"true" as:"name"`
	// Match selects the requests.
	Match Match `key:"match" required:"true"`
	// Upstream is the name of the upstream that answers.
	Upstream string `key:"upstream"`
	// Rewrite changes the path before it goes upstream.
	Rewrite Rewrite `key:"rewrite"`
	// RequireHTTPS says what becomes of plain HTTP requests.
	RequireHTTPS RequireHTTPS `key:"require_https" enum:"off|redirect|reject"`
	// CacheControl are rules of which the first that matches writes the Cache-Control sent downstream and decides the TTL.
	CacheControl []CacheControlRule `key:"cache_control"`
	// Cache is the route's cache policy.
	Cache Cache `key:"cache"`
	// Coalesce lets concurrent requests for one object share one upstream call.
	Coalesce Coalesce `key:"coalesce"`
	// Compress negotiates content codings.
	Compress Compress `key:"compress"`
	// Headers changes fields on the way to the upstream and to the client.
	Headers Headers `key:"headers"`
	// Errors are custom error responses; the first with the status holds.
	Errors []ErrorPage `key:"errors"`
	// Limits override the server's.
	Limits RouteLimits `key:"limits"`
	// Upgrade is the protocol that connections may be upgraded to.
	Upgrade Upgrade `key:"upgrade" enum:"off|websocket"`
}

// Match selects requests.
type Match struct {
	// Host is a name, in lower case, or *.name for all names below it; "": every host.
	Host string `key:"host" as:"host"`
	// Path is a pattern: /a/b, /a/{id}, /a/{id:[0-9]+}, or /a/* for all below, with * only at the end.
	Path string `key:"path" required:"true" as:"pattern"`
	// Methods are the methods allowed, in upper case; none: all. GET brings HEAD only where it is listed.
	Methods []string `key:"methods" as:"method"`
}

// Rewrite changes the path before it goes upstream: either prefixes or the whole path.
type Rewrite struct {
	// StripPrefix is taken off the front of the path.
	StripPrefix string `key:"strip_prefix" as:"prefix"`
	// AddPrefix is then put in front.
	AddPrefix string `key:"add_prefix" as:"prefix"`
	// Path replaces the path; {name} and {*} are what the match's pattern captured.
	Path string `key:"path" as:"template"`
}

// RequireHTTPS says what becomes of a plain HTTP request.
type RequireHTTPS string

const (
	RequireHTTPSOff      RequireHTTPS = "off"      // it is answered
	RequireHTTPSRedirect RequireHTTPS = "redirect" // 308 to the same URL with https
	RequireHTTPSReject   RequireHTTPS = "reject"   // 403
)

// CacheControlRule sets the Cache-Control of matching responses.
type CacheControlRule struct {
	// When has the conditions; all of them must hold, and one left out holds always.
	When When `key:"when"`
	// Set is the field value.
	Set string `key:"set" required:"true" as:"cache_control"`
	// Mode says whether it replaces what the origin sent.
	Mode CacheControlMode `key:"mode" enum:"absent|override"`
}

// When has the conditions of a Cache-Control rule.
type When struct {
	// Extensions of the path, in lower case without the dot; they hold only when the response's Content-Type fits.
	Extensions []string `key:"extension" as:"extension"`
	// ContentTypes are media types, in lower case; type/* is allowed.
	ContentTypes []string `key:"content_type" as:"media_range"`
	// Status codes of the response.
	Status []int `key:"status" min:"200" max:"599"`
}

// CacheControlMode says when a rule holds.
type CacheControlMode string

const (
	CacheControlAbsent   CacheControlMode = "absent"   // only where the origin sent none
	CacheControlOverride CacheControlMode = "override" // always
)

// Cache is a route's cache policy.
type Cache struct {
	// Enabled turns the cache on.
	Enabled bool `key:"enabled" print:"always"`
	// Tiers are the stores used.
	Tiers []Tier `key:"tiers" enum:"memory" later:"redis"`
	// TTL is how long responses are fresh.
	TTL TTL `key:"ttl"`
	// Key is what tells two objects apart beside method, scheme, host, path and Vary.
	Key CacheKey `key:"key"`
	// Vary bounds the variants of an object.
	Vary Vary `key:"vary"`
	// StaleWhileRevalidate is how long a stale response is served while it is refreshed, where the origin says nothing.
	StaleWhileRevalidate time.Duration `key:"stale_while_revalidate"`
	// StaleIfError is how long a stale response is served when the origin fails, where the origin says nothing.
	StaleIfError time.Duration `key:"stale_if_error"`
	// EarlyRefresh is the beta of XFetch: how eagerly a popular object is refreshed before it expires; 0 is off.
	EarlyRefresh float64 `key:"early_refresh" min:"0" max:"100"`
	// Authorization says what a request with an Authorization field may do.
	Authorization Authorization `key:"authorization" enum:"rfc|never|key"`
	// SetCookie says what becomes of a response with Set-Cookie.
	SetCookie SetCookie `key:"set_cookie" enum:"pass|strip|store"`
	// ClientDirectives says whether a request's Cache-Control counts.
	ClientDirectives ClientDirectives `key:"client_directives" enum:"honour|ignore"`
	// IgnoreOrigin lets only `ttl` count.
	IgnoreOrigin bool `key:"ignore_origin"`
}

// Tier is a store that a cache uses.
type Tier string

// TierMemory is the store inside the process.
const TierMemory Tier = "memory"

// TTL is how long responses are fresh.
type TTL struct {
	// Default holds where the origin says nothing; 0: a heuristic by Last-Modified (RFC 9111 section 4.2.2), or not at all.
	Default time.Duration `key:"default"`
	// Min is the floor for what the origin says.
	Min time.Duration `key:"min"`
	// Max is the ceiling for what the origin says; 0: none.
	Max time.Duration `key:"max"`
	// Status has the default by status code.
	Status map[int]time.Duration `key:"status" min:"200" max:"599"`
	// Jitter is the share of the lifetime that is taken off at random, so that what was stored together does not expire together.
	Jitter float64 `key:"jitter" as:"share"`
}

// CacheKey is what tells two objects apart beside method, scheme, host, path and Vary.
type CacheKey struct {
	// Query selects the query parameters.
	Query QueryKey `key:"query"`
	// Headers are the request fields whose values are part of the key.
	Headers []string `key:"headers" as:"field"`
	// Cookies are the cookies whose values are part of the key.
	Cookies []string `key:"cookies" as:"cookie"`
}

// QueryKey selects the query parameters that are part of the key.
type QueryKey struct {
	// Include are the names that count; * stands for any characters.
	Include []string `key:"include" as:"glob"`
	// Exclude are the names that do not count, whatever Include says.
	Exclude []string `key:"exclude" as:"glob"`
	// Sort makes the order of the parameters irrelevant.
	Sort bool `key:"sort"`
}

// Vary bounds the variants of an object.
type Vary struct {
	// MaxVariants is how many variants of one object are kept.
	MaxVariants int `key:"max_variants" min:"1" max:"10000"`
}

// Authorization says what a request with an Authorization field may do.
type Authorization string

const (
	AuthorizationRFC   Authorization = "rfc"   // what RFC 9111 section 3.5 allows
	AuthorizationNever Authorization = "never" // it keeps away from the cache
	AuthorizationKey   Authorization = "key"   // each value has its own objects
)

// SetCookie says what becomes of a response with Set-Cookie.
type SetCookie string

const (
	SetCookiePass  SetCookie = "pass"  // it is not stored
	SetCookieStrip SetCookie = "strip" // it is stored and delivered without Set-Cookie
	SetCookieStore SetCookie = "store" // it is stored as it is
)

// ClientDirectives says whether a request's Cache-Control counts.
type ClientDirectives string

const (
	ClientDirectivesHonour ClientDirectives = "honour" // it does
	ClientDirectivesIgnore ClientDirectives = "ignore" // a client's no-cache does not reach the origin
)

// Coalesce lets concurrent requests for one object share one upstream call.
type Coalesce struct {
	// Enabled is on where the cache is.
	Enabled bool `key:"enabled" print:"always"`
	// MaxWaiters is how many requests wait for one call; more go on alone.
	MaxWaiters int `key:"max_waiters" min:"1"`
	// Wait is how long a request waits before it goes on alone.
	Wait time.Duration `key:"wait" min:"1ms"`
	// AcrossInstances would share calls between gateways.
	AcrossInstances bool `key:"across_instances" only:"false"`
}

// Compress negotiates content codings. It is on where it is written.
type Compress struct {
	// Enabled turns it off for one route where `defaults` turned it on.
	Enabled bool `key:"enabled" print:"always"`
	// Encodings are the codings offered, the preferred first.
	Encodings []Encoding `key:"encodings" enum:"zstd|br|gzip"`
	// MinSize is the size below which a body is sent as it is.
	MinSize int64 `key:"min_size" as:"size"`
	// Level is how hard to compress.
	Level CompressLevel `key:"level"`
	// Types are the media types worth compressing, in lower case; type/* and type/*+suffix are allowed.
	Types []string `key:"types" as:"media_range"`
}

// Encoding is a content coding.
type Encoding string

const (
	EncodingZstd Encoding = "zstd" // RFC 8878
	EncodingBr   Encoding = "br"   // RFC 7932
	EncodingGzip Encoding = "gzip" // RFC 1952
)

// CompressLevel is how hard to compress, on each coding's own scale.
type CompressLevel struct {
	// Gzip is 1 (quick) to 9 (small).
	Gzip int `key:"gzip" min:"1" max:"9"`
	// Br is 0 (quick) to 11 (small).
	Br int `key:"br" min:"0" max:"11"`
	// Zstd is 1 (quick) to 22 (small).
	Zstd int `key:"zstd" min:"1" max:"22"`
}

// Headers changes fields on the way.
type Headers struct {
	// Request fields, on the way to the upstream.
	Request FieldOps `key:"request"`
	// Response fields, on the way to the client.
	Response FieldOps `key:"response"`
}

// FieldOps changes fields: first those of Remove go, then those of Set are replaced, then those of Add are added.
// Names are in canonical form.
type FieldOps struct {
	// Set replaces fields.
	Set map[string]string `key:"set" as:"field_value" keyas:"editable_field"`
	// Add adds field lines.
	Add map[string]string `key:"add" as:"field_value" keyas:"editable_field"`
	// Remove takes fields away.
	Remove []string `key:"remove" as:"editable_field"`
}

// ErrorPage is a custom error response.
type ErrorPage struct {
	// Status codes that it replaces.
	Status []int `key:"status" required:"true" min:"400" max:"599"`
	// Serve is a path that is fetched from the route's upstream instead; "": Body.
	Serve string `key:"serve" as:"serve"`
	// As is the status sent; 0: the original one.
	As int `key:"as" min:"200" max:"599"`
	// CacheFor is how long the error response is cached; 0: as its own Cache-Control says.
	CacheFor time.Duration `key:"cache_for"`
	// Body is the response's content.
	Body string `key:"body"`
	// ContentType of Body.
	ContentType string `key:"content_type" as:"content_type"`
}

// RouteLimits are the limits that a route may override.
type RouteLimits struct {
	// BodyBytes bounds a request's body: 413; 0: no limit. Left out: the server's.
	BodyBytes int64 `key:"body_bytes" as:"size" print:"always"`
}

// Upgrade is the protocol that connections may be upgraded to.
type Upgrade string

const (
	UpgradeOff       Upgrade = "off"       // none
	UpgradeWebSocket Upgrade = "websocket" // RFC 6455
)
