package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxKeySet    = 256             // keys in a JWKS; a set with more is refused
	maxKeySetLen = 1 << 20         // bytes of a JWKS
	keySetTime   = 5 * time.Second // for one call
	// keySetEvery is the time after which a JWKS is fetched again, so that a removed key is not used
	// for long.
	keySetEvery = 5 * time.Minute
	// keySetPause is the shortest time between two calls, whatever keys tokens name.
	keySetPause = 10 * time.Second
)

// verifier is a public key of a JWKS.
type verifier struct {
	key       any
	algorithm string // the only one that the key may verify; "" for all of its kind
	kind      string // the beginning of its algorithms
}

// JWKS holds the public keys of a provider. It fetches them again from time to time, and when a token
// names an unknown key. While the provider fails, it goes on with the keys that it has.
type JWKS struct {
	url    string
	client *http.Client
	now    func() time.Time
	log    *slog.Logger
	keys   atomic.Pointer[map[string]verifier] // nil before the first success

	mu      sync.Mutex
	tried   time.Time     // when the last call began
	running chan struct{} // closed when the running call ends; nil if none runs
	ill     string        // the last logged error
}

// NewJWKS returns the JWKS at a URL, without any key yet.
func NewJWKS(url string, client *http.Client, now func() time.Time, log *slog.Logger) *JWKS {
	return &JWKS{url: url, client: client, now: now, log: log}
}

// NewKeyClient returns a client for calls to providers. It follows no redirects, because they could
// lead to a URL that is not the configured one.
func NewKeyClient() *http.Client {
	return &http.Client{Timeout: keySetTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Key implements KeySet. If the key is unknown, it fetches the set, at most once in keySetPause, and
// waits for a running call. The ID is only compared with those of the set: it names no file and no
// URL.
func (j *JWKS) Key(id, algorithm string) (any, error) {
	key, err := j.find(id, algorithm)
	if err == nil {
		return key, nil
	}
	j.Refresh()
	return j.find(id, algorithm)
}

func (j *JWKS) find(id, algorithm string) (any, error) {
	keys := j.keys.Load()
	if keys == nil {
		return nil, errNoKeys
	}
	v, ok := (*keys)[id]
	if !ok && id == "" && len(*keys) == 1 {
		for _, v = range *keys { // a token without an ID can only mean the only key
			ok = true
		}
	}
	if !ok || v.algorithm != "" && v.algorithm != algorithm || !v.fits(algorithm) {
		return nil, errNoKey
	}
	return v.key, nil
}

func (v *verifier) fits(algorithm string) bool {
	if v.kind == "RSA" {
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	}
	return algorithm == v.kind
}

// Refresh fetches the set, unless a call began less than keySetPause ago. It waits for the call that
// runs.
func (j *JWKS) Refresh() {
	j.mu.Lock()
	running := j.running
	if running == nil {
		if now := j.now(); !j.tried.IsZero() && now.Sub(j.tried) < keySetPause {
			j.mu.Unlock()
			return
		} else {
			j.tried = now
		}
		running = make(chan struct{})
		j.running = running
		j.mu.Unlock()
		j.fetch()
		j.mu.Lock()
		j.running = nil
		close(running)
		j.mu.Unlock()
		return
	}
	j.mu.Unlock()
	<-running // the call is bounded by keySetTime
}

// fetch replaces the keys. After an error the old ones stay.
func (j *JWKS) fetch() {
	keys, err := j.get()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		if j.ill != err.Error() {
			j.ill = err.Error()
			j.log.Error("the keys for tokens can't be fetched; those fetched before stay in force", "url", j.url, "error", err)
		}
		return
	}
	if j.ill != "" {
		j.log.Info("the keys for tokens are fetched again", "url", j.url)
	}
	j.ill = ""
	j.keys.Store(&keys)
}

func (j *JWKS) get() (map[string]verifier, error) {
	ctx, cancel := context.WithTimeout(context.Background(), keySetTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := j.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the provider answers %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySetLen+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeySetLen {
		return nil, errors.New("the set is larger than 1 MiB")
	}
	return parseKeySet(text)
}

// jwk is a key of a JWKS (RFC 7517, RFC 7518 section 6, RFC 8037).
type jwk struct {
	Kty, Use, Alg, Kid, Crv string
	KeyOps                  []string `json:"key_ops"`
	N, E, X, Y              string
}

// parseKeySet reads the public keys of a JWKS. It leaves out keys that can't verify a signature, and
// of two keys with the same ID the later one. A set without any key that can be used is an error.
func parseKeySet(text []byte) (map[string]verifier, error) {
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("the set is not valid JSON")
	}
	if len(set.Keys) > maxKeySet {
		return nil, fmt.Errorf("the set has %d keys; at most %d are read", len(set.Keys), maxKeySet)
	}
	keys := make(map[string]verifier)
	for _, raw := range set.Keys {
		var k jwk
		if json.Unmarshal(raw, &k) != nil || k.Use != "" && k.Use != "sig" || k.KeyOps != nil && !strings.Contains(" "+strings.Join(k.KeyOps, " ")+" ", " verify ") {
			continue
		}
		if v, ok := k.verifier(); ok {
			if _, known := keys[k.Kid]; !known {
				v.algorithm = k.Alg
				keys[k.Kid] = v
			}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the set has no key that can verify a token")
	}
	return keys, nil
}

// curves are the curves of ECDSA, and the algorithm of each.
var curves = map[string]struct {
	curve     elliptic.Curve
	algorithm string
}{"P-256": {elliptic.P256(), "ES256"}, "P-384": {elliptic.P384(), "ES384"}, "P-521": {elliptic.P521(), "ES512"}}

// verifier returns the public key. It returns false for symmetric keys, weak ones and unknown kinds.
func (k *jwk) verifier() (v verifier, ok bool) {
	x, err := base64.RawURLEncoding.DecodeString(k.X)
	if err != nil {
		return v, false
	}
	switch k.Kty {
	case "RSA":
		return k.rsa()
	case "OKP":
		return verifier{key: ed25519.PublicKey(x), kind: "EdDSA"}, k.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize
	case "EC":
		y, err := base64.RawURLEncoding.DecodeString(k.Y)
		on, known := curves[k.Crv]
		if err != nil || !known {
			return v, false
		}
		size := (on.curve.Params().BitSize + 7) / 8
		if len(x) != size || len(y) != size {
			return v, false
		}
		key, err := ecdsa.ParseUncompressedPublicKey(on.curve, append(append([]byte{4}, x...), y...))
		return verifier{key: key, kind: on.algorithm}, err == nil // a point beside the curve is an error
	}
	return v, false
}

func (k *jwk) rsa() (v verifier, ok bool) {
	n, err := base64.RawURLEncoding.DecodeString(k.N)
	if err != nil {
		return v, false
	}
	e, err := base64.RawURLEncoding.DecodeString(k.E)
	if err != nil || len(e) > 4 {
		return v, false
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	bits := key.N.BitLen()
	return verifier{key: key, kind: "RSA"}, bits >= 2048 && bits <= 8192 && key.E >= 3 && key.E&1 == 1
}

// Providers keeps the JWKS that configurations name, over reloads. It runs one goroutine for each
// that is in force. Close ends them.
type Providers struct {
	make    func(url string) *JWKS
	mu      sync.Mutex
	sets    map[string]*provider // by URL
	closed  bool
	running sync.WaitGroup
}

type provider struct {
	*JWKS
	stop chan struct{}
}

// NewProviders returns a Providers without any JWKS.
func NewProviders(newSet func(url string) *JWKS) *Providers { return &Providers{make: newSet} }

// Open returns the JWKS at a URL: the one in force, or a new one.
func (p *Providers) Open(url string) *JWKS {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.sets[url]; known != nil {
		return known.JWKS
	}
	return p.make(url)
}

// Adopt makes sets, by URL, those that are in force. They come from Open.
func (p *Providers) Adopt(sets map[string]*JWKS) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	next := make(map[string]*provider, len(sets))
	for url, set := range sets {
		if known := p.sets[url]; known != nil {
			next[url] = known
			continue
		}
		started := &provider{set, make(chan struct{})}
		next[url] = started
		p.running.Go(func() { started.run() })
	}
	for url, known := range p.sets {
		if next[url] == nil {
			close(known.stop)
		}
	}
	p.sets = next
}

// Close ends all goroutines and waits for them. A running call takes up to keySetTime.
func (p *Providers) Close() {
	p.mu.Lock()
	p.closed = true
	for _, known := range p.sets {
		close(known.stop)
	}
	p.sets = nil
	p.mu.Unlock()
	p.running.Wait()
}

// run keeps the set fresh: it fetches it at once, soon after a failure, and every keySetEvery.
func (p *provider) run() {
	for {
		p.Refresh()
		wait := keySetEvery
		if p.keys.Load() == nil {
			wait = keySetPause
		}
		timer := time.NewTimer(wait)
		select {
		case <-p.stop:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
