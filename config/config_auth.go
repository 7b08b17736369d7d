package config

// Auth limits a route to clients that prove their right to use it, by one of the methods named here.
// Other requests get 401, also for stored responses: each request is checked, on a hit too. A request
// that is let in counts as one with Authorization, so cache.authorization says whether clients share
// responses: with `rfc` only those that say public, s-maxage or must-revalidate. An aggregate that
// reads a part through a route does not pass that route's auth, so give the aggregate its own. A
// cache between the gateway and its clients does not check anything: let the responses say private.
type Auth struct {
	// APIKeys let requests in by a key that the client has been given.
	APIKeys *APIKeys `key:"api_keys"`
	// ForwardCredentials leaves the fields of the credentials in requests to the upstream. Without
	// it they are taken off, so that no origin or its log gets them.
	ForwardCredentials bool `key:"forward_credentials"`
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
