package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/edge/auth"
)

// auth returns the rules by which requests to a route are let in, or nil if the route asks for no
// credential.
func (b *builder) auth(r *config.Route) (*auth.Rules, error) {
	if r.Auth == nil {
		return nil, nil
	}
	rules := &auth.Rules{All: r.Auth.All, Forward: r.Auth.ForwardCredentials, Private: r.Cache.Authorization != config.AuthorizationRFC}
	if a := r.Auth.APIKeys; a != nil {
		keys, err := b.apiKeys(a)
		if err != nil {
			return nil, fmt.Errorf("auth.api_keys.%w", err)
		}
		rules.Methods = append(rules.Methods, keys.Method())
	}
	if j := r.Auth.JWT; j != nil {
		set := b.sets[j.JWKS]
		if set == nil {
			set = b.providers.Open(j.JWKS)
			b.sets[j.JWKS] = set
		}
		rules.Methods = append(rules.Methods, auth.NewTokens(auth.TokenConfig{
			Realm: r.Name, Issuer: j.Issuer, Audience: j.Audience, Algorithms: j.Algorithms, Scopes: j.Scopes, Claims: j.Claims, Leeway: j.Leeway, Now: b.cache.Now,
		}, set).Method())
	}
	return rules, nil
}

func (b *builder) apiKeys(a *config.APIKeys) (*auth.APIKeys, error) {
	made := &auth.APIKeys{Field: a.Header, Param: a.Query, Keys: new(auth.Keys)}
	for i, key := range a.Keys {
		sum := sha256.Sum256([]byte(key.Key))
		if key.SHA256 != "" {
			if _, err := hex.Decode(sum[:], []byte(key.SHA256)); err != nil {
				return nil, fmt.Errorf("keys[%d].sha256: %s has no digest", i, key.Name)
			}
		}
		if err := made.Keys.Add(key.Name, sum); err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
	}
	if a.File == "" {
		return made, nil
	}
	file := b.keys[a.File]
	if file == nil {
		var err error
		if file, err = b.State.keys.Open(a.File); err != nil {
			return nil, fmt.Errorf("file: %w", err)
		}
		b.keys[a.File] = file
	}
	made.File = file
	return made, nil
}
