package config

import "time"

// Route says what happens to the requests that it matches.
type Route struct {
	// Name identifies the route in keys, metrics and logs.
	Name string `key:"name" required:"true" as:"name"`
	// Match selects the requests.
	Match Match `key:"match" required:"true"`
	// Upstream is the name of the upstream that answers.
	Upstream string `key:"upstream"`
	// Aggregate makes the answers out of several calls, in the place of an upstream.
	Aggregate *Aggregate `key:"aggregate"`
	// Batch makes one call of many single reads, in the place of an upstream.
	Batch *Batch `key:"batch"`
	// Paginate is about lists that come in pages.
	Paginate *Paginate `key:"paginate"`
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
	// Writes say what becomes of requests that change something.
	Writes Writes `key:"writes"`
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
	// CacheFor is how long the error response is cached; 0: not at all.
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
