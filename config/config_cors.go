package config

import "time"

// CORS lets pages of other origins use the route, by the CORS protocol of the Fetch standard. The
// gateway answers preflights itself, also if match.methods lacks OPTIONS: 204 if it allows the
// announced request, or else 403. A preflight needs no credentials, and passes only `allow` and
// `require_https` before. If another route takes the announced method of the same path, that route
// decides. All other requests are answered as without this key. The Access-Control-*
// fields of the origin server's responses are replaced, in stored responses at each delivery. So
// one stored response is for all origins, unless the origin server itself sends Vary: Origin.
// Responses have Vary: Origin, except with origins: ["*"].
//
// The state of a queued write (writes.policy: behind) belongs to no route, so pages of other origins
// can't read it.
//
// The rules do not protect a resource: they tell browsers what pages may read. Other clients, and
// simple requests of pages, are answered all the same.
type CORS struct {
	// Origins are the origins whose pages may read the responses, as browsers write them:
	// scheme://host, and the port if it is not the scheme's own. https://*.example.com allows each
	// name below example.com, at any depth, and not example.com itself. "*" allows all origins,
	// without credentials. "null" allows all sandboxed pages and local files.
	Origins []string `key:"origins" required:"true" as:"cors_origin" empty:"name the origins of the pages, or leave cors out"`
	// Methods are the methods that a preflight may announce. If omitted, they are those of
	// match.methods, or else GET, HEAD and POST. Browsers send GET, HEAD and POST also without a
	// preflight.
	Methods []string `key:"methods" as:"cors_method" empty:"name methods such as [GET, PUT], or leave the key out"`
	// Headers are the request fields that a preflight may announce, such as Content-Type and
	// Authorization.
	Headers []string `key:"headers" as:"cors_header"`
	// Expose are the response fields that pages may read, besides Cache-Control, Content-Language,
	// Content-Length, Content-Type, Expires, Last-Modified and Pragma.
	Expose []string `key:"expose" as:"cors_expose"`
	// Credentials lets pages send cookies and read responses to requests with them.
	Credentials bool `key:"credentials"`
	// MaxAge is how long browsers may remember the answer to a preflight. 0 means as long as they
	// do without being told, which is 5 seconds. Some browsers remember it for 2 hours at most.
	MaxAge time.Duration `key:"max_age" max:"24h"`
}
