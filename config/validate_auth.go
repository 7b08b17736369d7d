package config

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// auth requires a method, and refuses keys of the route that would see no credential.
func (k checker) auth(r *Route, n *node) {
	at := n.get("auth")
	if r.Auth == nil || !k.sound(at) {
		return
	}
	a := r.Auth
	switch {
	case a.APIKeys == nil && a.JWT == nil:
		k.at(at, problemf("the route asks for no credential").or("name a method, such as api_keys"))
		return
	case a.All && (a.APIKeys == nil || a.JWT == nil):
		k.at(written(at, "all"), problemf("there is only one method").or("leave all out, or name another method"))
	}
	if a.APIKeys != nil {
		k.apiKeys(a.APIKeys, at.get("api_keys"))
		k.apiKeyFields(r, n)
	}
	if a.JWT != nil {
		for name, values := range a.JWT.Claims {
			if at := at.get("jwt").get("claims").get(name); len(values) == 0 && k.sound(at) {
				k.at(at, problemf("no value is allowed, so no token is").or("name values, or leave the claim out"))
			}
		}
	}
	if a.JWT != nil && !a.ForwardCredentials {
		k.noField(r, n, "Authorization")
	}
	if p := r.Paginate; p != nil && p.Prefetch > 0 {
		k.at(written(n, "paginate", "prefetch"), problemf("no page is fetched ahead on a route with auth, because each request has a credential").or("leave prefetch out"))
	}
}

// apiKeys requires a place for keys, and keys that differ. Messages name keys by their names, and
// never repeat a key.
func (k checker) apiKeys(a *APIKeys, n *node) {
	if a.Header == "" && a.Query == "" {
		k.at(written(n, "header"), problemf("no request can carry a key").or("name a field with header, such as X-API-Key"))
	}
	if len(a.Keys) == 0 && a.File == "" {
		k.at(n, problemf("there is no key, so no request is let in").or("write keys, or name a file"))
	}
	names, sums := make(map[string]bool), make(map[string]string)
	for i, key := range a.Keys {
		at := item(n.get("keys"), i)
		if !k.sound(at) {
			continue
		}
		if names[key.Name] {
			k.at(written(at, "name"), problemf("another key has the name %s", clip(key.Name)).or("give each key its own name"))
		}
		names[key.Name] = true
		switch {
		case key.Key == "" && key.SHA256 == "":
			k.at(at, problemf("the key is missing").or("write key or sha256"))
		case key.Key != "" && key.SHA256 != "":
			k.at(written(at, "sha256"), problemf("key and sha256 are two ways to say the same").or("leave one of the two out"))
		default:
			if other, ok := sums[key.digest()]; ok {
				k.at(at, problemf("%s is the same key as %s", clip(key.Name), clip(other)).or("leave one of the two out"))
			} else {
				sums[key.digest()] = key.Name
			}
		}
	}
}

// digest returns the key's digest in hexadecimal.
func (a *APIKey) digest() string {
	if a.SHA256 != "" {
		return a.SHA256
	}
	sum := sha256.Sum256([]byte(a.Key))
	return hex.EncodeToString(sum[:])
}

// apiKeyFields refuses rules of the route that would handle credentials as data.
func (k checker) apiKeyFields(r *Route, n *node) {
	a, auth := r.Auth.APIKeys, n.get("auth")
	if a.Query != "" && r.Auth.ForwardCredentials && a.Header == "" {
		k.at(written(auth, "forward_credentials"), problemf("a key in the query is always taken off, because URLs are logged and are part of cache keys").or("leave forward_credentials out, or name a header"))
	}
	if a.Header != "" {
		k.noField(r, n, a.Header)
	}
}

// noField refuses rules of the route that would read the field of a credential, which is taken off.
func (k checker) noField(r *Route, n *node, field string) {
	for i, name := range r.Cache.Key.Headers {
		if at := item(n.get("cache").get("key").get("headers"), i); name == field && k.sound(at) {
			k.at(at, problemf("%s holds a credential", name).or("write cache.authorization: key, which gives each credential its own responses"))
		}
	}
	if r.Aggregate == nil {
		return
	}
	for name, p := range r.Aggregate.Parts {
		if at := n.get("aggregate").get("parts").get(name).get("headers"); slices.Contains(p.Headers, field) && k.sound(at) {
			k.at(at, problemf("%s holds the credential of the aggregate, and no part gets it", field).or("leave it out"))
		}
	}
}
