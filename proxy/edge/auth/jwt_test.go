package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/penstock/penstock/proxy/edge"
)

// signer signs the tokens of a test.
type signer struct {
	id     string
	method jwt.SigningMethod
	key    crypto.Signer
}

func newSigner(t testing.TB, id, algorithm string) *signer {
	t.Helper()
	s := &signer{id: id, method: jwt.GetSigningMethod(algorithm)}
	var err error
	switch algorithm[:2] {
	case "RS", "PS":
		s.key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES":
		s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, s.key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// jwk returns the public key as a member of a JWKS.
func (s *signer) jwk() map[string]any {
	text := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	switch key := s.key.Public().(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "kid": s.id, "use": "sig", "n": text(key.N.Bytes()), "e": text(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, _ := key.Bytes()
		return map[string]any{"kty": "EC", "kid": s.id, "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "kid": s.id, "crv": "Ed25519", "x": text(key)}
	}
	return nil
}

// token signs a token with changed header and claims. A nil removes a member.
func (s *signer) token(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	made := jwt.NewWithClaims(s.method, jwt.MapClaims{"iss": "idp", "aud": "api", "sub": "alice", "exp": testNow.Add(time.Minute).Unix(), "scope": "read write", "role": "admin"})
	made.Header["kid"] = s.id
	for _, edit := range []struct{ of, by map[string]any }{{made.Header, header}, {made.Claims.(jwt.MapClaims), claims}} {
		for name, value := range edit.by {
			if edit.of[name] = value; value == nil {
				delete(edit.of, name)
			}
		}
	}
	text, err := made.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// raw signs a token with header and claims as they are written.
func (s *signer) raw(t testing.TB, header, claims string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	sig, err := s.method.Sign(text, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func keySetOf(t testing.TB, signers ...*signer) []byte {
	t.Helper()
	var keys []map[string]any
	for _, s := range signers {
		keys = append(keys, s.jwk())
	}
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fixedKeys is a set that never changes.
func fixedKeys(t testing.TB, text []byte) *JWKS {
	t.Helper()
	keys, err := parseKeySet(text)
	if err != nil {
		t.Fatal(err)
	}
	j := &JWKS{now: func() time.Time { return testNow }, tried: testNow}
	j.keys.Store(&keys)
	return j
}

func tokensWith(keys KeySet, algorithms ...string) *Tokens {
	return NewTokens(TokenConfig{
		Realm: "r", Issuer: "idp", Audience: "api", Algorithms: algorithms, Scopes: []string{"read"}, Claims: map[string][]string{"role": {"admin", "ops"}},
		Leeway: 30 * time.Second, Now: func() time.Time { return testNow },
	}, keys)
}

// TestTokens plays one attack or mistake in each case.
func TestTokens(t *testing.T) {
	rs, es, ed, stranger := newSigner(t, "rs", "RS256"), newSigner(t, "es", "ES256"), newSigner(t, "ed", "EdDSA"), newSigner(t, "rs", "RS256")
	judge := tokensWith(fixedKeys(t, keySetOf(t, rs, es, ed)), "RS256", "ES256", "EdDSA")
	public, err := x509.MarshalPKIXPublicKey(rs.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	asSecret := func(secret []byte) string {
		made := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": "idp", "aud": "api", "exp": testNow.Add(time.Minute).Unix(), "scope": "read", "role": "admin"})
		made.Header["kid"] = "rs"
		text, err := made.SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": "idp", "aud": "api", "exp": testNow.Add(time.Minute).Unix(), "scope": "read", "role": "admin"}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	good := rs.token(t, nil, nil)
	parts := strings.Split(good, ".")
	at := func(d time.Duration) int64 { return testNow.Add(d).Unix() }
	const claims = `"iss":"idp","exp":1772366460,"scope":"read","role":"admin"`
	for _, c := range []struct {
		name, token string
		want        Reason
	}{
		{"RS256", good, ""},
		{"ES256", es.token(t, nil, nil), ""},
		{"EdDSA", ed.token(t, nil, nil), ""},
		{"alg none", unsigned, BadSignature},
		{"alg none with a signature", unsigned + parts[2], BadSignature},
		{"alg nOnE", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"nOnE","kid":"rs"}`)) + "." + parts[1] + ".", BadSignature},
		{"the signature is cut off", parts[0] + "." + parts[1] + ".", BadSignature},
		{"HS256 with the public key as PEM", asSecret(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), BadSignature},
		{"HS256 with the public key as DER", asSecret(public), BadSignature},
		{"HS256 with the modulus", asSecret(rs.key.Public().(*rsa.PublicKey).N.Bytes()), BadSignature},
		{"RS256 with the ID of another kind of key", rs.token(t, map[string]any{"kid": "es"}, nil), UnknownSigner},
		{"an algorithm that is not listed", (&signer{"rs", jwt.SigningMethodRS512, rs.key}).token(t, nil, nil), BadSignature},
		{"a stranger's key", stranger.token(t, nil, nil), BadSignature},
		{"a key in the token", stranger.token(t, map[string]any{"jwk": stranger.jwk(), "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}, nil), BadSignature},
		{"kid with a path", stranger.token(t, map[string]any{"kid": "../../../dev/null"}, nil), UnknownSigner},
		{"kid with SQL", stranger.token(t, map[string]any{"kid": "x' UNION SELECT 'key"}, nil), UnknownSigner},
		{"kid with a URL", stranger.token(t, map[string]any{"kid": "http://127.0.0.1:1/jwks"}, nil), UnknownSigner},
		{"kid is a list", rs.token(t, map[string]any{"kid": []string{"rs"}}, nil), UnknownSigner},
		{"no kid among several keys", rs.token(t, map[string]any{"kid": nil}, nil), UnknownSigner},
		{"expired", rs.token(t, nil, map[string]any{"exp": at(-31 * time.Second)}), Expired},
		{"expired within the leeway", rs.token(t, nil, map[string]any{"exp": at(-29 * time.Second)}), ""},
		{"no exp", rs.token(t, nil, map[string]any{"exp": nil}), MalformedToken},
		{"exp is a text", rs.token(t, nil, map[string]any{"exp": "never"}), MalformedToken},
		{"nbf to come", rs.token(t, nil, map[string]any{"nbf": at(31 * time.Second)}), NotYetValid},
		{"nbf within the leeway", rs.token(t, nil, map[string]any{"nbf": at(29 * time.Second)}), ""},
		{"another issuer", rs.token(t, nil, map[string]any{"iss": "idp2"}), WrongIssuer},
		{"no issuer", rs.token(t, nil, map[string]any{"iss": nil}), MalformedToken},
		{"another audience", rs.token(t, nil, map[string]any{"aud": "api2"}), WrongAudience},
		{"one audience of several", rs.token(t, nil, map[string]any{"aud": []string{"x", "api"}}), ""},
		{"no audience", rs.token(t, nil, map[string]any{"aud": nil}), MalformedToken},
		{"no scope", rs.token(t, nil, map[string]any{"scope": nil}), MissingScope},
		{"a scope that begins alike", rs.token(t, nil, map[string]any{"scope": "reader xread"}), MissingScope},
		{"scp as a list", rs.token(t, nil, map[string]any{"scope": nil, "scp": []string{"read"}}), ""},
		{"another role", rs.token(t, nil, map[string]any{"role": "guest"}), WrongClaim},
		{"one role of several", rs.token(t, nil, map[string]any{"role": []string{"guest", "ops"}}), ""},
		{"the role is an object", rs.token(t, nil, map[string]any{"role": map[string]any{"admin": true}}), WrongClaim},
		{"crit", rs.token(t, map[string]any{"crit": []string{"exp"}}, nil), MalformedToken},
		{"crit, empty", rs.token(t, map[string]any{"crit": []string{}}, nil), MalformedToken},
		{"audience twice", rs.raw(t, `{"alg":"RS256","kid":"rs"}`, `{"aud":"other","aud":"api",`+claims+`}`), MalformedToken},
		{"role twice, deep", rs.raw(t, `{"alg":"RS256","kid":"rs"}`, `{"aud":"api","x":[{"a":1,"b":{},"a":2}],`+claims+`}`), MalformedToken},
		{"alg twice", rs.raw(t, `{"alg":"none","alg":"RS256","kid":"rs"}`, `{"aud":"api",`+claims+`}`), MalformedToken},
		{"written by hand", rs.raw(t, `{"alg":"RS256","kid":"rs"}`, `{"aud":"api","x":[{"a":1},{"a":2}],`+claims+`}`), ""},
		{"1 MB", strings.Repeat("a", 1<<20), TokenTooLarge},
		{"1 MB, signed", rs.token(t, nil, map[string]any{"x": strings.Repeat("a", 1<<20)}), TokenTooLarge},
		{"no token", "", MalformedToken},
		{"not a token", "a.b.c", MalformedToken},
		{"five parts, as of an encrypted token", good + ".a.b", MalformedToken},
		{"a blank inside", parts[0] + ". " + parts[1] + "." + parts[2], MalformedToken},
		{"padding", good + "=", MalformedToken},
	} {
		v := judge.Verdict(&edge.Located{Fields: edge.HeaderFields(http.Header{"Authorization": {"bearer " + c.token}})})
		if v.Reason != c.want {
			t.Errorf("%s: %q, not %q", c.name, v.Reason, c.want)
		}
		switch {
		case v.Reason == "":
			if v.Credential == "" || v.Subject != "alice" && c.name != "written by hand" {
				t.Errorf("%s: credential %q of %q", c.name, v.Credential, v.Subject)
			}
		case v.Reason.forbids():
			if v.Challenge != fmt.Sprintf(`Bearer realm="r", error="insufficient_scope", error_description=%q, scope="read"`, reasonTexts[v.Reason]) {
				t.Errorf("%s: %s", c.name, v.Challenge)
			}
		default:
			if v.Challenge != fmt.Sprintf(`Bearer realm="r", error="invalid_token", error_description=%q`, reasonTexts[v.Reason]) || reasonTexts[v.Reason] == "" {
				t.Errorf("%s: %s", c.name, v.Challenge)
			}
		}
		if judge.Lets(&edge.Located{Fields: edge.HeaderFields(http.Header{"Authorization": {"Bearer  " + c.token}})}) != (c.want == "") {
			t.Errorf("%s: a hit is decided in another way", c.name)
		}
	}
	for want, lines := range map[Reason][]string{SeveralCredentials: {"Bearer " + good, "Bearer " + good}, NoCredential: {"Basic " + good}, BadSignature: {"Bearer " + good[:len(good)-4] + "AAAA"}} {
		if v := judge.Verdict(&edge.Located{Fields: edge.HeaderFields(http.Header{"Authorization": lines})}); v.Reason != want {
			t.Errorf("%.20q: %q, not %q", lines, v.Reason, want)
		}
	}
}

// TestOnlyKeyNeedsNoID: a token without an ID can only mean the only key of a set.
func TestOnlyKeyNeedsNoID(t *testing.T) {
	es := newSigner(t, "es", "ES256")
	judge := tokensWith(fixedKeys(t, keySetOf(t, es)), "ES256")
	for header, want := range map[string]Reason{"": "", "other": UnknownSigner} {
		kid := any(header)
		if header == "" {
			kid = nil
		}
		token := es.token(t, map[string]any{"kid": kid}, nil)
		if v := judge.Verdict(&edge.Located{Fields: edge.HeaderFields(http.Header{"Authorization": {"Bearer " + token}})}); v.Reason != want {
			t.Errorf("%q: %q", header, v.Reason)
		}
	}
}

// FuzzToken: no text without a signature of the provider is let in.
func FuzzToken(f *testing.F) {
	es := newSigner(f, "es", "ES256")
	judge := tokensWith(fixedKeys(f, keySetOf(f, es)), "ES256")
	good := es.token(f, nil, nil)
	f.Add(good + "x")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		v := judge.Verdict(&edge.Located{Fields: edge.HeaderFields(http.Header{"Authorization": {"Bearer " + token}})})
		if v.Reason == "" {
			t.Errorf("%q is let in", token)
		}
	})
}
