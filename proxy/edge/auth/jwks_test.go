package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// idp is a provider without a network. It can be called concurrently.
type idp struct {
	mu    sync.Mutex
	calls int
	text  string
	down  bool
	slow  time.Duration
}

func (p *idp) RoundTrip(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.calls++
	text, down, slow := p.text, p.down, p.slow
	p.mu.Unlock()
	select {
	case <-req.Context().Done():
		return nil, req.Context().Err()
	case <-time.After(slow):
	}
	if down {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(text)), Header: http.Header{}, Request: req}, nil
}

func (p *idp) set(change func(*idp)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *idp) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

func (p *idp) jwks() *JWKS {
	client := NewKeyClient()
	client.Transport = p
	return NewJWKS("https://idp.example/", client, time.Now, slog.New(slog.DiscardHandler))
}

// TestProviderFails: while the provider is down for an hour, its keys stay in force. A flood of
// unknown keys makes at most one call in keySetPause. A rotated key is found.
func TestProviderFails(t *testing.T) {
	one, two := newSigner(t, "one", "ES256"), newSigner(t, "two", "ES256")
	synctest.Test(t, func(t *testing.T) {
		p := &idp{text: string(keySetOf(t, one)), down: true}
		sets := NewProviders(func(string) *JWKS { return p.jwks() })
		j := sets.Open("u")
		sets.Adopt(map[string]*JWKS{"u": j})
		synctest.Wait()
		if _, err := j.Key("one", "ES256"); err != errNoKeys {
			t.Errorf("before the first success: %v", err)
		}
		p.set(func(p *idp) { p.down = false })
		time.Sleep(keySetPause + time.Second)
		synctest.Wait()
		if _, err := j.Key("one", "ES256"); err != nil {
			t.Errorf("the provider is back: %v", err)
		}
		p.set(func(p *idp) { p.down = true })
		time.Sleep(time.Hour)
		before := p.count()
		if _, err := j.Key("one", "ES256"); err != nil || p.count() != before {
			t.Errorf("the provider is down for an hour: %v, %d calls for a known key", err, p.count()-before)
		}
		// Rotation: the new key is asked for, the old one goes.
		p.set(func(p *idp) { p.down, p.text = false, string(keySetOf(t, two)) })
		time.Sleep(keySetPause)
		if _, err := j.Key("two", "ES256"); err != nil {
			t.Errorf("the new key: %v", err)
		}
		if _, err := j.Key("one", "ES256"); err != errNoKey {
			t.Errorf("the removed key: %v", err)
		}
		before = p.count()
		for i := range 600 { // for one minute
			if _, err := j.Key(fmt.Sprint("unknown", i), "ES256"); err != errNoKey {
				t.Fatalf("an unknown key: %v", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := p.count() - before; n < 3 || n > 8 {
			t.Errorf("a minute of unknown keys made %d calls", n)
		}
		// A provider that hangs holds a request no longer than keySetTime, and only one call runs.
		p.set(func(p *idp) { p.slow = time.Hour })
		time.Sleep(keySetPause)
		before = p.count()
		began := time.Now()
		var waiting sync.WaitGroup
		for range 100 {
			waiting.Go(func() { _, _ = j.Key("three", "ES256") })
		}
		waiting.Wait()
		if took := time.Since(began); took > keySetTime+time.Second || p.count()-before != 1 {
			t.Errorf("a hanging provider held requests for %v, with %d calls", took, p.count()-before)
		}
		if _, err := j.Key("two", "ES256"); err != nil {
			t.Errorf("a known key while the provider hangs: %v", err)
		}
		sets.Close()
	})
}

// TestProvidersKeepSets: a reload keeps the keys of a provider, and a provider that is no longer named
// is asked no more.
func TestProvidersKeepSets(t *testing.T) {
	one := newSigner(t, "one", "ES256")
	synctest.Test(t, func(t *testing.T) {
		p := &idp{text: string(keySetOf(t, one))}
		sets := NewProviders(func(string) *JWKS { return p.jwks() })
		j := sets.Open("u")
		sets.Adopt(map[string]*JWKS{"u": j})
		synctest.Wait()
		if sets.Open("u") != j || sets.Open("v") == j {
			t.Error("a set in force is made anew")
		}
		sets.Adopt(map[string]*JWKS{"u": j})
		synctest.Wait()
		if p.count() != 1 {
			t.Errorf("a reload made %d calls", p.count()-1)
		}
		sets.Adopt(nil)
		time.Sleep(time.Hour)
		if p.count() != 1 {
			t.Errorf("a provider that is not named was called %d times", p.count()-1)
		}
		sets.Close()
		sets.Adopt(map[string]*JWKS{"u": j})
		synctest.Wait()
	})
}

// TestKeySets: weak, symmetric and broken keys verify nothing, and large sets are refused.
func TestKeySets(t *testing.T) {
	es, rs := newSigner(t, "es", "ES256"), newSigner(t, "rs", "RS256")
	with := func(k map[string]any, change map[string]any) string {
		for name, value := range change {
			k[name] = value
		}
		text, err := json.Marshal(map[string]any{"keys": []any{k}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, c := range []struct{ name, text, says string }{
		{"an RSA key", with(rs.jwk(), nil), ""},
		{"an RSA key of 1024 bits", with(rs.jwk(), map[string]any{"n": strings.Repeat("_", 171)}), "no key"},
		{"an RSA key with exponent 1", with(rs.jwk(), map[string]any{"e": "AQ"}), "no key"},
		{"a point beside the curve", with(es.jwk(), map[string]any{"y": strings.Repeat("A", 43)}), "no key"},
		{"a short coordinate", with(es.jwk(), map[string]any{"x": "AA"}), "no key"},
		{"an unknown curve", with(es.jwk(), map[string]any{"crv": "secp256k1"}), "no key"},
		{"a symmetric key", with(map[string]any{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}, nil), "no key"},
		{"a key for encryption", with(es.jwk(), map[string]any{"use": "enc"}), "no key"},
		{"a key that may not verify", with(es.jwk(), map[string]any{"key_ops": []string{"sign"}}), "no key"},
		{"a key that may verify", with(es.jwk(), map[string]any{"key_ops": []string{"verify"}}), ""},
		{"a key of another type", with(es.jwk(), map[string]any{"kid": 7}), "no key"},
		{"no keys", `{"keys": []}`, "no key"},
		{"a list", `[]`, "not valid JSON"},
		{"not JSON", `<html>`, "not valid JSON"},
		{"10,000 keys", `{"keys":[` + strings.Repeat(`{"kty":"oct"},`, 9999) + `{"kty":"oct"}]}`, "10000 keys; at most 256"},
		{"2 MB", `{"keys":[],"x":"` + strings.Repeat("a", 2<<20) + `"}`, "larger than 1 MiB"},
	} {
		p := &idp{text: c.text}
		keys, err := p.jwks().get()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) || err == nil && len(keys) != 1 {
			t.Errorf("%s: %d keys, %v", c.name, len(keys), err)
		}
	}
	// A key that names its algorithm verifies no other one.
	j := fixedKeys(t, []byte(with(rs.jwk(), map[string]any{"alg": "PS256"})))
	for algorithm, want := range map[string]error{"PS256": nil, "RS256": errNoKey, "ES256": errNoKey, "HS256": errNoKey} {
		if _, err := j.find("rs", algorithm); err != want {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}
