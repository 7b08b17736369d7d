package auth

import "github.com/penstock/penstock/proxy/edge"

// Method is one way in which a client proves that it may use a route.
type Method struct {
	Name  string // its key in the configuration
	Judge Judge
	// Challenge is the WWW-Authenticate of a response to a request without a credential.
	Challenge string
	// Field and Param are the field, in canonical form, and the query parameter that carry the
	// credential. One of them may be "".
	Field, Param string
}

// Judge judges the credentials of requests. It may be called concurrently, and must not keep the
// Located.
type Judge interface {
	// Lets reports whether the credential of a request lets it in. A connection asks before each
	// hit, so Lets must be fast and allocate nothing.
	Lets(at *edge.Located) bool
	// Verdict returns the same decision, with the reasons.
	Verdict(at *edge.Located) Verdict
}

// Verdict is the decision of one method about a request.
type Verdict struct {
	// Reason is the reason why the request is not let in, or "".
	Reason Reason
	// Credential identifies the credential without revealing it, and Subject names its owner for
	// operators. They are set if the request is let in.
	Credential, Subject string
	// Challenge replaces the Challenge of the method, if it is not "".
	Challenge string
}

// Reason is the reason why a request is not let in. The reasons are labels of metrics.
type Reason string

// The reasons.
const (
	NoCredential       Reason = "no_credential"       // the request has no credential for the method
	SeveralCredentials Reason = "several_credentials" // the request has several, and it is not clear which one counts
	UnknownKey         Reason = "unknown_key"         // no such API key
	TokenTooLarge      Reason = "token_too_large"     // not even parsed
	MalformedToken     Reason = "malformed_token"     // no JWT, or one that may be read in two ways
	BadSignature       Reason = "bad_signature"       // or an algorithm that the route does not accept
	UnknownSigner      Reason = "unknown_signer"      // the JWKS has no such key
	KeysUnavailable    Reason = "keys_unavailable"    // the JWKS has not been fetched yet
	Expired            Reason = "expired"             // exp is over
	NotYetValid        Reason = "not_yet_valid"       // nbf is to come
	WrongIssuer        Reason = "wrong_issuer"        // the token has another iss
	WrongAudience      Reason = "wrong_audience"      // aud does not have the audience
	MissingScope       Reason = "missing_scope"       // the token lacks a scope
	WrongClaim         Reason = "wrong_claim"         // a claim has none of the values
)

// reasonTexts tell clients why they are refused.
var reasonTexts = map[Reason]string{
	NoCredential:       "this resource needs a credential",
	SeveralCredentials: "the request has several credentials",
	UnknownKey:         "the API key is not known",
	TokenTooLarge:      "the token is too large",
	MalformedToken:     "the token is malformed",
	BadSignature:       "the signature of the token is not valid",
	UnknownSigner:      "the key of the token is not known",
	KeysUnavailable:    "tokens can't be verified at the moment",
	Expired:            "the token has expired",
	NotYetValid:        "the token is not valid yet",
	WrongIssuer:        "the token has another issuer",
	WrongAudience:      "the token is for another audience",
	MissingScope:       "the token lacks a scope",
	WrongClaim:         "a claim of the token does not allow this",
}

// forbids reports whether r refuses a client that is known, so that another credential of the same
// client would not help.
func (r Reason) forbids() bool { return r == MissingScope || r == WrongClaim }

// weight orders reasons: if several methods refuse a request, the response tells the heaviest.
func (r Reason) weight() int {
	switch {
	case r == NoCredential:
		return 0
	case r.forbids():
		return 2
	}
	return 1
}
