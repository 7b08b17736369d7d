package fault

import (
	"fmt"
	"net/http"
)

// Kind is the kind of a failure, in the vocabulary of RFC 9209 §2.3.
type Kind uint8

const (
	Internal               Kind = iota // zero value: a defect of the gateway itself
	DNSTimeout                         // the name was not resolved in time
	DNSError                           // the name could not be resolved
	Unavailable                        // no target may be asked
	Unroutable                         // there is no way to the target's address
	ConnectionRefused                  // the target refused the connection
	ConnectionTimeout                  // no connection, or no TLS session, in time
	ConnectionTerminated               // the connection was lost before there was a response
	ReadTimeout                        // the body of the response stalled
	WriteTimeout                       // the target stopped to take the request
	PoolExhausted                      // all connections were in use for longer than a request may wait
	TLSProtocol                        // the TLS handshake failed
	TLSCertificate                     // the target's certificate is not to be trusted
	TLSAlert                           // the target ended the TLS session
	RequestBody                        // the client's request body broke off
	RequestTooLarge                    // the client's request body is larger than allowed
	RequestStalled                     // no more of the client's request body came in time
	RequestDenied                      // a request that is never forwarded (CONNECT)
	ResponseIncomplete                 // the response ended before it was whole
	ResponseHeaderTooLarge             // the response's header section is larger than allowed
	ResponseTimeout                    // no response in time, or not whole in time
	UpgradeFailed                      // the target switched protocols unasked, or to another one than asked for
	ProtocolError                      // the received bytes are not a valid HTTP response
	LoopDetected                       // the request has passed this gateway too often
	NoFiles                            // the gateway has no open files left: the target was not called
)

// kindFacts has, for each Kind, the name and the recommended status of RFC 9209 §2.3.
var kindFacts = [...]struct {
	name   string
	status int
}{
	Internal:               {"proxy_internal_error", http.StatusInternalServerError},
	DNSTimeout:             {"dns_timeout", http.StatusGatewayTimeout},
	DNSError:               {"dns_error", http.StatusBadGateway},
	Unavailable:            {"destination_unavailable", http.StatusServiceUnavailable},
	Unroutable:             {"destination_ip_unroutable", http.StatusBadGateway},
	ConnectionRefused:      {"connection_refused", http.StatusBadGateway},
	ConnectionTimeout:      {"connection_timeout", http.StatusGatewayTimeout},
	ConnectionTerminated:   {"connection_terminated", http.StatusBadGateway},
	ReadTimeout:            {"connection_read_timeout", http.StatusGatewayTimeout},
	WriteTimeout:           {"connection_write_timeout", http.StatusGatewayTimeout},
	PoolExhausted:          {"connection_limit_reached", http.StatusServiceUnavailable},
	TLSProtocol:            {"tls_protocol_error", http.StatusBadGateway},
	TLSCertificate:         {"tls_certificate_error", http.StatusBadGateway},
	TLSAlert:               {"tls_alert_received", http.StatusBadGateway},
	RequestBody:            {"http_request_error", http.StatusBadRequest},
	RequestTooLarge:        {"http_request_error", http.StatusRequestEntityTooLarge},
	RequestStalled:         {"http_request_error", http.StatusRequestTimeout},
	RequestDenied:          {"http_request_denied", http.StatusForbidden},
	ResponseIncomplete:     {"http_response_incomplete", http.StatusBadGateway},
	ResponseHeaderTooLarge: {"http_response_header_section_size", http.StatusBadGateway},
	ResponseTimeout:        {"http_response_timeout", http.StatusGatewayTimeout},
	UpgradeFailed:          {"http_upgrade_failed", http.StatusBadGateway},
	ProtocolError:          {"http_protocol_error", http.StatusBadGateway},
	LoopDetected:           {"proxy_loop_detected", http.StatusBadGateway},
	// This is an error of the gateway that is unrelated to the origin. RFC 9209 recommends 500, but
	// the gateway recovers by itself, which 503 says (RFC 9110 §15.6.4).
	NoFiles: {"proxy_internal_error", http.StatusServiceUnavailable},
}

// ProxyStatus is the RFC 9209 name of k, the value of Proxy-Status' error parameter.
func (k Kind) ProxyStatus() string {
	if int(k) < len(kindFacts) {
		return kindFacts[k].name
	}
	return kindFacts[Internal].name
}

// Status is the status code to answer with when there is nothing better.
func (k Kind) Status() int {
	if int(k) < len(kindFacts) {
		return kindFacts[k].status
	}
	return kindFacts[Internal].status
}

// String is the name of k.
func (k Kind) String() string { return k.ProxyStatus() }

// Timeout reports whether k says that a bound was reached.
func (k Kind) Timeout() bool { return k.Status() == http.StatusGatewayTimeout }

// Error is a failed attempt. If RoundTrip, or a Read of the body of a response, fails for another
// reason than the caller's own cancellation, it returns an *Error.
type Error struct {
	Kind   Kind
	Target string // scheme and authority; "" if no target was chosen
	Err    error  // the cause
}

// Error names the kind, the target and the cause.
func (e *Error) Error() string {
	if e.Target == "" {
		return fmt.Sprintf("upstream: %s: %v", e.Kind, e.Err)
	}
	return fmt.Sprintf("upstream %s: %s: %v", e.Target, e.Kind, e.Err)
}

// Status is the status code to answer with when there is nothing better.
func (e *Error) Status() int { return e.Kind.Status() }

// RetryAfter is after how many seconds a client may come again, 0 where nothing can be said.
func (e *Error) RetryAfter() int {
	if e.Kind == PoolExhausted || e.Kind == NoFiles {
		return 1
	}
	return 0
}

// Detail is a sentence for the client if it says more than the status, or "".
func (e *Error) Detail() string {
	if e.Kind == NoFiles {
		return "the gateway has no open files left (ulimit -n)"
	}
	return ""
}

// ProxyStatus is the RFC 9209 name of the failure.
func (e *Error) ProxyStatus() string { return e.Kind.ProxyStatus() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
