package config

import "time"

// Auth limits a route to clients that prove their right to use it, by one of the methods named here.
// Other requests get 401, also for stored responses: each request is checked, on a hit too. A request
// that is let in counts as one with Authorization, so cache.authorization says whether clients share
// responses: with `rfc` only those that say public, s-maxage or must-revalidate. An aggregate that
// reads a part through a route does not pass that route's auth, so give the aggregate its own. A
// cache between the gateway and its clients does not check anything: let the responses say private.
type Auth struct {
	// APIKeys let requests in by a key that the client has been given.
	APIKeys *APIKeys `key:"api_keys"`
	// JWT lets requests in by a signed token in Authorization.
	JWT *JWT `key:"jwt"`
	// ForwardCredentials leaves the fields of the credentials in requests to the upstream. Without
	// it they are taken off, so that no origin or its log gets them.
	ForwardCredentials bool `key:"forward_credentials"`
	// All requires that each method lets a request in. Without it one is enough.
	All bool `key:"all"`
}

// JWT lets requests in by a JSON Web Token in Authorization: Bearer (RFC 7519, RFC 6750). A token
// needs a valid signature, the issuer, the audience, and an expiry that is not over. A token without
// the scopes or claims gets 403. Connections do not answer hits of requests with a token; the handler
// does. While the keys have never been fetched, requests get 503.
type JWT struct {
	// JWKS is the URL of the provider's public keys (RFC 7517). It must be https, except on loopback.
	// The gateway fetches the keys every 5 minutes, and if a token names an unknown key, but at most
	// once in 10 seconds. While the provider fails, it goes on with the keys that it has. At most 256
	// keys are read, and redirects are not followed.
	JWKS string `key:"jwks" required:"true" as:"jwks_url"`
	// Issuer is the iss of tokens.
	Issuer string `key:"issuer" required:"true" as:"claim"`
	// Audience is a value that the aud of tokens must have.
	Audience string `key:"audience" required:"true" as:"claim"`
	// Algorithms are the accepted algorithms. All of them are asymmetric.
	Algorithms []string `key:"algorithms" as:"jwt_algorithm" empty:"name algorithms such as [RS256], or leave the key out"`
	// Scopes are the scopes that a token needs, in its scope or scp.
	Scopes []string `key:"scopes" as:"claim"`
	// Claims are further conditions: a token needs, for each claim, one of the values.
	Claims map[string][]string `key:"claims" as:"claim" keyas:"claim"`
	// Leeway is the time by which the clocks of the gateway and the provider may differ.
	Leeway time.Duration `key:"leeway" max:"5m"`
}

// APIKeys let requests in by a key in a field or in the query. A request with several keys is
// refused.
type APIKeys struct {
	// Header is the field that carries the key. "" means that no field does.
	Header string `key:"header" as:"key_field"`
	// Query is the query parameter that carries the key. "" means that no parameter does. The
	// parameter is taken off before the cache and the upstream, and logs do not show its value. A key
	// in a field is safer, because browsers and other proxies keep and log URLs.
	Query string `key:"query" as:"key_param"`
	// Keys are the keys.
	Keys []APIKey `key:"keys"`
	// File holds further keys, one a line: a name and the key, or a name and sha256: with the key's
	// digest. A line that begins with # is a comment. The gateway reads the file again within a few
	// seconds after it changes. If the changed file is missing or broken, the keys read before stay
	// in force, and the log names the broken line. Replace the file by renaming a new one, so that
	// its content changes at once.
	File string `key:"file" as:"file"`
}

// APIKey is a key and its name. Either key or sha256 is set.
type APIKey struct {
	// Name says to operators whose key it is.
	Name string `key:"name" required:"true" as:"name"`
	// Key is the key itself. Take it from the environment or a file, as in ${API_KEY}.
	Key string `key:"key" as:"api_key"`
	// SHA256 is the SHA-256 digest of the key, in hexadecimal. The configuration then does not
	// reveal the key.
	SHA256 string `key:"sha256" as:"sha256"`
}
