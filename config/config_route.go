package config

import "time"

// Route says how the gateway handles the requests that it matches.
type Route struct {
	// Name identifies the route in keys, metrics and logs.
	Name string `key:"name" required:"true" as:"name"`
	// Match selects the requests.
	Match Match `key:"match" required:"true"`
	// Upstream is the name of the upstream that answers.
	Upstream string `key:"upstream"`
	// Aggregate makes each answer from several calls instead of an upstream.
	Aggregate *Aggregate `key:"aggregate"`
	// Batch joins single reads into one call, instead of an upstream.
	Batch *Batch `key:"batch"`
	// Paginate configures lists that are split into pages.
	Paginate *Paginate `key:"paginate"`
	// Rewrite changes the path before the gateway forwards it.
	Rewrite Rewrite `key:"rewrite"`
	// MergeSlashes removes empty segments from paths, for routing, key and upstream: /a//b becomes
	// /a/b. Without it they stay, since they name another resource. If a path without its empty
	// segments would belong to another route, and that route does not merge slashes, the request
	// gets 400.
	MergeSlashes bool `key:"merge_slashes"`
	// RequireHTTPS says how the gateway treats plain HTTP requests.
	RequireHTTPS RequireHTTPS `key:"require_https" enum:"off|redirect|reject"`
	// Allow says from which IP addresses clients may use the route.
	Allow Allow `key:"allow"`
	// Auth says how clients prove that they may use the route.
	Auth *Auth `key:"auth"`
	// RateLimit bounds how often each client may use the route.
	RateLimit *RateLimit `key:"rate_limit"`
	// CORS says which pages of other origins may read the route's responses.
	CORS *CORS `key:"cors"`
	// CacheControl are rules about the Cache-Control of responses. The first matching rule writes
	// the field for clients and determines the TTL.
	CacheControl []CacheControlRule `key:"cache_control"`
	// Cache is the route's cache policy.
	Cache Cache `key:"cache"`
	// Coalesce lets concurrent requests for one object share one upstream call.
	Coalesce Coalesce `key:"coalesce"`
	// Writes say how the gateway handles requests that change something.
	Writes Writes `key:"writes"`
	// Compress negotiates content codings.
	Compress Compress `key:"compress"`
	// Timeouts override the upstream's timeouts. An omitted one keeps the upstream's value.
	Timeouts RouteTimeouts `key:"timeouts"`
	// Headers changes fields on the way to the upstream and to the client.
	Headers Headers `key:"headers"`
	// Errors are custom error responses. The first one for a status applies.
	Errors []ErrorPage `key:"errors"`
	// Limits override the server's limits.
	Limits RouteLimits `key:"limits"`
	// Upgrade is the protocol to which connections may be upgraded.
	Upgrade Upgrade `key:"upgrade" enum:"off|websocket"`
}

// Match selects requests.
type Match struct {
	// Host is a name in lower case, or *.name for all names below it. "" means every host.
	Host string `key:"host" as:"host"`
	// Path is a pattern: /a/b, /a/{id}, /a/{id:[0-9]+}, or /a/* for all paths below. * may occur
	// only at the end.
	Path string `key:"path" required:"true" as:"pattern"`
	// Methods are the allowed methods, in upper case. If omitted, all methods match. GET does not
	// include HEAD: list both.
	Methods []string `key:"methods" as:"method" empty:"name methods such as [GET, HEAD], or leave the key out to match all of them"`
}

// Rewrite changes the path before the gateway forwards it: either a prefix or the whole path.
type Rewrite struct {
	// StripPrefix is removed from the front of the path. The origin gets it in X-Forwarded-Prefix.
	StripPrefix string `key:"strip_prefix" as:"prefix"`
	// AddPrefix is then added in front.
	AddPrefix string `key:"add_prefix" as:"prefix"`
	// Path replaces the path. {name} and {*} stand for values that match.path captures.
	Path string `key:"path" as:"template"`
	// KeepLocations leaves URLs unchanged in the origin's Location, Content-Location, Refresh and
	// Link. Without it, a URL with a target's authority gets the client's scheme and host, and this
	// rewrite is applied in reverse to its path, unless the origin has added the prefix itself. The
	// same holds for a path without an authority and, with preserve_host, for a URL with the
	// client's host. URLs with other authorities, Set-Cookie and content never change.
	KeepLocations bool `key:"keep_locations"`
}

// RouteTimeouts override the timeouts of a route's upstream. 0 means no bound. In an aggregate they
// apply to each part's call.
type RouteTimeouts struct {
	// FirstByte is the time from the sent request to the response's header. If omitted, the
	// upstream's applies.
	FirstByte *time.Duration `key:"first_byte"`
	// Idle is the longest pause within a response's body. If omitted, the upstream's applies.
	Idle *time.Duration `key:"idle"`
	// Total is the time for the whole call. If omitted, the upstream's applies.
	Total *time.Duration `key:"total"`
}

// RequireHTTPS says how the gateway treats a plain HTTP request.
type RequireHTTPS string

const (
	RequireHTTPSOff      RequireHTTPS = "off"      // it is answered normally
	RequireHTTPSRedirect RequireHTTPS = "redirect" // 308 to the same URL with https
	RequireHTTPSReject   RequireHTTPS = "reject"   // 403
)

// CacheControlRule sets the Cache-Control of matching responses.
type CacheControlRule struct {
	// When holds the conditions. All of them must hold; an omitted one always holds.
	When When `key:"when"`
	// Set is the field value.
	Set string `key:"set" required:"true" as:"cache_control"`
	// Mode says whether the rule replaces the origin's Cache-Control.
	Mode CacheControlMode `key:"mode" enum:"absent|override"`
}

// When holds the conditions of a Cache-Control rule.
type When struct {
	// Extensions are extensions of the path, in lower case without the dot. They match only if the
	// response's Content-Type fits the extension. That check does not protect pages for one user
	// under extensions such as html, json, xml and txt, because pages have these types too. Use
	// such rules only for paths that hold nothing but files.
	Extensions []string `key:"extension" as:"extension" empty:"name extensions such as [css, js], or leave the condition out"`
	// ContentTypes are media types, in lower case; type/* is allowed.
	ContentTypes []string `key:"content_type" as:"media_range" empty:"name media types such as [text/html], or leave the condition out"`
	// Status lists status codes of the response. 200 also matches its parts (206).
	Status []int `key:"status" min:"200" max:"599" empty:"name statuses such as [200, 404], or leave the condition out"`
}

// CacheControlMode says when a rule applies.
type CacheControlMode string

const (
	CacheControlAbsent   CacheControlMode = "absent"   // only if the origin sent no Cache-Control
	CacheControlOverride CacheControlMode = "override" // always
)

// Compress negotiates content codings. Writing the key turns it on.
type Compress struct {
	// Enabled turns compression off for one route if `defaults` turned it on.
	Enabled bool `key:"enabled" print:"always"`
	// Encodings are the offered codings in order of preference.
	Encodings []Encoding `key:"encodings" enum:"zstd|br|gzip"`
	// MinSize is the smallest body that is compressed.
	MinSize int64 `key:"min_size" as:"size"`
	// Level is the effort of compression.
	Level CompressLevel `key:"level"`
	// Types are the media types worth compressing, in lower case; type/* and type/*+suffix are
	// allowed.
	Types []string `key:"types" as:"media_range"`
}

// Encoding is a content coding.
type Encoding string

const (
	EncodingZstd Encoding = "zstd" // RFC 8878
	EncodingBr   Encoding = "br"   // RFC 7932
	EncodingGzip Encoding = "gzip" // RFC 1952
)

// CompressLevel is the effort of compression, on each coding's own scale.
type CompressLevel struct {
	// Gzip is 1 (fast) to 9 (small).
	Gzip int `key:"gzip" min:"1" max:"9"`
	// Br is 0 (fast) to 11 (small).
	Br int `key:"br" min:"0" max:"11"`
	// Zstd is 1 (fast) to 22 (small).
	Zstd int `key:"zstd" min:"1" max:"22"`
}

// Headers changes fields of requests and responses.
type Headers struct {
	// Request changes fields on the way to the upstream.
	Request FieldOps `key:"request"`
	// Response changes fields on the way to the client.
	Response FieldOps `key:"response"`
}

// FieldOps changes fields: first it removes the fields of Remove, then it replaces the fields of
// Set, then it adds the fields of Add. Names are in canonical form. Values may contain
// placeholders: {host}, {uri} (path and query), {path}, {query}, {method}, {scheme}, {client_ip},
// {request_id}, {route}, and values that match.path captures. {{ and }} stand for braces. If a
// value would exceed 8 KiB, the field is omitted. On a route with a cache, a placeholder is allowed
// only if all requests that share a response agree on its value.
type FieldOps struct {
	// Set replaces fields.
	Set map[string]string `key:"set" as:"field_value" keyas:"editable_field"`
	// Add adds field lines.
	Add map[string]string `key:"add" as:"field_value" keyas:"editable_field"`
	// Remove removes fields.
	Remove []string `key:"remove" as:"editable_field"`
}

// ErrorPage is a custom error response.
type ErrorPage struct {
	// Status lists the status codes that the page replaces.
	Status []int `key:"status" required:"true" min:"400" max:"599"`
	// Serve is a path that the gateway fetches from the route's upstream. "" means that Body is
	// sent.
	Serve string `key:"serve" as:"serve"`
	// As is the status to send. 0 means the original status.
	As int `key:"as" min:"200" max:"599"`
	// CacheFor is how long the error response is cached. With 0 it is not cached.
	CacheFor time.Duration `key:"cache_for"`
	// CacheControl is the Cache-Control for clients. If omitted, clients get the page's own
	// Cache-Control.
	CacheControl string `key:"cache_control" as:"cache_control"`
	// Body is the response's content.
	Body string `key:"body"`
	// ContentType is the media type of Body.
	ContentType string `key:"content_type" as:"content_type"`
}

// RouteLimits are the limits that a route may override.
type RouteLimits struct {
	// BodyBytes bounds a request's body: 413. 0 means no limit. If omitted, the server's limit
	// applies.
	BodyBytes int64 `key:"body_bytes" as:"size" print:"always"`
}

// Upgrade is the protocol to which connections may be upgraded.
type Upgrade string

const (
	UpgradeOff       Upgrade = "off"       // upgrades are not allowed
	UpgradeWebSocket Upgrade = "websocket" // RFC 6455
)
