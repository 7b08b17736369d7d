package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/penstock/penstock/proxy/edge"
)

// maxToken bounds the size of a token. A larger one is refused before it is parsed.
const maxToken = 16 << 10

// TokenConfig says which tokens are accepted.
type TokenConfig struct {
	Realm, Issuer, Audience string
	// Algorithms are the accepted values of alg. All of them are asymmetric, and the keys come from a
	// JWKS, of which only public keys are read. So a token can be signed neither with `none` nor with a
	// public key as a shared secret.
	Algorithms []string
	Scopes     []string            // the token must have all of them
	Claims     map[string][]string // the token must have one of the values of each claim
	Leeway     time.Duration       // by which clocks may differ
	Now        func() time.Time
}

// Tokens judges requests by a JWT in Authorization (RFC 7519, RFC 6750).
//
// A token needs a signature by a key of the JWKS, the issuer, the audience and exp. Its nbf counts if
// it has one. Tokens with crit are refused, because no extension is understood (RFC 7515 section
// 4.1.11), and so are tokens in which the header or the claims name a member twice, because the
// origin could read the other one.
type Tokens struct {
	config TokenConfig
	keys   KeySet
	parser *jwt.Parser
}

// KeySet finds the public keys that verify tokens.
type KeySet interface {
	// Key returns the key with the given ID for an algorithm. The error is errNoKey if there is no
	// such key, or errNoKeys if the set has never been available.
	Key(id, algorithm string) (any, error)
}

var (
	errNoKey  = errors.New("no such key")
	errNoKeys = errors.New("the keys are not available")
)

// NewTokens returns a Tokens that verifies with keys.
func NewTokens(c TokenConfig, keys KeySet) *Tokens {
	return &Tokens{config: c, keys: keys, parser: jwt.NewParser(
		jwt.WithValidMethods(c.Algorithms), jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience), jwt.WithExpirationRequired(), jwt.WithLeeway(c.Leeway),
		jwt.WithTimeFunc(c.Now), jwt.WithStrictDecoding(), jwt.WithJSONNumber(),
	)}
}

// Method returns the method.
func (t *Tokens) Method() Method {
	return Method{Name: "jwt", Judge: t, Challenge: t.challenge("", ""), Field: "Authorization"}
}

// challenge returns the WWW-Authenticate of a response (RFC 6750 section 3).
func (t *Tokens) challenge(code, text string) string {
	out := "Bearer realm=" + quoted(t.config.Realm)
	if code != "" {
		out += ", error=" + quoted(code) + ", error_description=" + quoted(text)
	}
	if code == "insufficient_scope" && len(t.config.Scopes) > 0 {
		out += ", scope=" + quoted(strings.Join(t.config.Scopes, " "))
	}
	return out
}

// Lets implements Judge. Connections leave requests with Authorization to the handler, so it need not
// be fast.
func (t *Tokens) Lets(at *edge.Located) bool { return t.Verdict(at).Reason == "" }

// Verdict implements Judge.
func (t *Tokens) Verdict(at *edge.Located) Verdict {
	token, reason := bearer(at.Fields)
	if reason == NoCredential {
		return Verdict{Reason: reason}
	}
	subject := ""
	if reason == "" {
		subject, reason = t.judge(token)
	}
	switch {
	case reason == "":
		sum := sha256.Sum256([]byte(token))
		return Verdict{Credential: "jwt:" + string(sum[:]), Subject: subject}
	case reason == KeysUnavailable:
		return Verdict{Reason: reason}
	case reason.forbids():
		return Verdict{Reason: reason, Challenge: t.challenge("insufficient_scope", reasonTexts[reason])}
	}
	return Verdict{Reason: reason, Challenge: t.challenge("invalid_token", reasonTexts[reason])}
}

// bearer returns the token of a request, or the reason why there is no token to judge.
func bearer(fields edge.Fields) (string, Reason) {
	value, lines := fields.Line("Authorization")
	if lines > 1 {
		return "", SeveralCredentials
	}
	scheme, token, _ := strings.Cut(value, " ")
	token = strings.TrimLeft(token, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", NoCredential
	case len(token) > maxToken:
		return "", TokenTooLarge
	}
	return token, ""
}

// judge verifies a token. It returns its subject, or the reason why it is refused.
func (t *Tokens) judge(token string) (subject string, reason Reason) {
	claims := jwt.MapClaims{}
	parsed, err := t.parser.ParseWithClaims(token, claims, func(parsed *jwt.Token) (any, error) {
		id, ok := parsed.Header["kid"].(string)
		if _, named := parsed.Header["kid"]; named && !ok {
			return nil, errNoKey
		}
		return t.keys.Key(id, parsed.Method.Alg())
	})
	if err != nil {
		return "", reasonOf(err)
	}
	if _, has := parsed.Header["crit"]; has || namesTwice(token) {
		return "", MalformedToken
	}
	subject, _ = claims.GetSubject()
	if !t.hasScopes(claims) {
		return subject, MissingScope
	}
	for name, allowed := range t.config.Claims {
		if !slices.ContainsFunc(texts(claims[name]), func(s string) bool { return slices.Contains(allowed, s) }) {
			return subject, WrongClaim
		}
	}
	return subject, ""
}

// tokenReasons maps the errors of the parser. The order counts, because an error may be several of
// them.
var tokenReasons = []struct {
	err    error
	reason Reason
}{
	{errNoKeys, KeysUnavailable}, {errNoKey, UnknownSigner}, {jwt.ErrTokenMalformed, MalformedToken}, {jwt.ErrTokenSignatureInvalid, BadSignature},
	{jwt.ErrTokenUnverifiable, BadSignature}, {jwt.ErrTokenExpired, Expired}, {jwt.ErrTokenNotValidYet, NotYetValid}, {jwt.ErrTokenInvalidIssuer, WrongIssuer},
	{jwt.ErrTokenInvalidAudience, WrongAudience},
}

func reasonOf(err error) Reason {
	for _, known := range tokenReasons {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	return MalformedToken
}

// hasScopes reports whether the claims scope (RFC 9068) and scp have all scopes of the route.
func (t *Tokens) hasScopes(claims jwt.MapClaims) bool {
	var has []string
	for _, name := range []string{"scope", "scp"} {
		for _, text := range texts(claims[name]) {
			has = append(has, strings.Fields(text)...)
		}
	}
	for _, want := range t.config.Scopes {
		if !slices.Contains(has, want) {
			return false
		}
	}
	return true
}

// texts returns the texts of a claim, which is a text, a truth value or a list of them.
func texts(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{map[bool]string{true: "true", false: "false"}[v]}
	case []any:
		var out []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// namesTwice reports whether the header or the claims of a verified token have two members of the same
// name.
func namesTwice(token string) bool {
	parts := strings.Split(token, ".")
	for _, part := range parts[:len(parts)-1] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || repeatsName(text) {
			return true
		}
	}
	return false
}

// repeatsName reports whether a JSON text is not an object, or has an object with two members of the
// same name.
func repeatsName(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	type level struct {
		names map[string]bool // nil for a list
		name  bool            // the next token is a name
	}
	var open []level
	for {
		token, err := d.Token()
		if err != nil {
			return len(open) > 0 || d.InputOffset() == 0
		}
		if n := len(open); n > 0 && open[n-1].name {
			if name, ok := token.(string); ok {
				if open[n-1].names[name] {
					return true
				}
				open[n-1].names[name], open[n-1].name = true, false
				continue
			}
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{map[string]bool{}, true})
			continue
		case json.Delim('['):
			open = append(open, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		if n := len(open); n > 0 {
			open[n-1].name = open[n-1].names != nil
		}
	}
}
