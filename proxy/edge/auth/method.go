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
)

// reasonTexts tell clients why they are refused.
var reasonTexts = map[Reason]string{
	NoCredential:       "this resource needs a credential",
	SeveralCredentials: "the request has several credentials",
	UnknownKey:         "the API key is not known",
}

// forbids reports whether r refuses a client that is known, so that another credential of the same
// client would not help.
func (r Reason) forbids() bool { return false }

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
