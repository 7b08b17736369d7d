package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/penstock/penstock/proxy/upstream/h1"
)

// phase says how far an exchange had come when it failed, which decides what the same error means.
type phase uint8

const (
	connecting phase = iota // TCP and TLS
	awaiting                // the request is being sent, or the response awaited
	receiving               // the response's body
)

// classify finds the Kind of err. An *Error in its chain knows best.
func classify(err error, at phase) Kind {
	var own *Error
	if errors.As(err, &own) {
		return own.Kind
	}
	if k, ok := classifyTLS(err); ok {
		return k
	}
	if k, ok := classifyNet(err, at); ok {
		return k
	}
	if headerTooLarge(err) {
		return ResponseHeaderTooLarge
	}
	if at == connecting {
		return Unavailable
	}
	return ProtocolError
}

func classifyTLS(err error) (Kind, bool) {
	var (
		verify  *tls.CertificateVerificationError
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		op      *net.OpError
	)
	switch {
	case errors.As(err, &verify), errors.As(err, &host), errors.As(err, &unknown), errors.As(err, &invalid):
		return TLSCertificate, true
	case errors.As(err, &op) && op.Op == "remote error":
		// crypto/tls has no other mark for an alert that the peer sent.
		return TLSAlert, true
	case errors.As(err, &record):
		return TLSProtocol, true
	}
	return 0, false
}

func classifyNet(err error, at phase) (Kind, bool) {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsTimeout:
		return DNSTimeout, true
	case errors.As(err, &dns):
		return DNSError, true
	case errors.Is(err, syscall.ECONNREFUSED):
		return ConnectionRefused, true
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Unroutable, true
	case timedOut(err):
		return timeoutKind(err, at), true
	case lost(err) && at == receiving:
		return ResponseIncomplete, true
	case lost(err):
		return ConnectionTerminated, true
	}
	return 0, false
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

func timeoutKind(err error, at phase) Kind {
	var op *net.OpError
	isOp := errors.As(err, &op)
	switch {
	case at == connecting, isOp && op.Op == "dial":
		return ConnectionTimeout
	case isOp && op.Op == "write":
		return WriteTimeout
	case at == receiving:
		return ReadTimeout
	}
	return ResponseTimeout
}

// lost reports whether err says that the connection went away.
func lost(err error) bool {
	for _, gone := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed, errEarly} {
		if errors.Is(err, gone) {
			return true
		}
	}
	s := err.Error()
	for _, gone := range lostTexts {
		if strings.Contains(s, gone) {
			return true
		}
	}
	return false
}

// lostTexts are in errors of net/http that have no other mark.
var lostTexts = [...]string{
	"unexpected EOF", "server closed idle connection", "readLoopPeekFailLocked", "client connection lost", "server sent GOAWAY", "stream error:",
	"client conn could not be established",
}

func headerTooLarge(err error) bool {
	if errors.Is(err, h1.ErrHeaderTooLarge) {
		return true
	}
	s := err.Error()
	return strings.Contains(s, "response headers exceeded") || strings.Contains(s, "response header list larger")
}

// requestBodyError makes an *Error of a failure to read the client's body: it is not the target's.
func requestBodyError(target string, err error) error {
	var tooLarge *http.MaxBytesError
	kind := RequestBody
	if errors.As(err, &tooLarge) {
		kind = RequestTooLarge
	}
	return &Error{Kind: kind, Target: target, Err: err}
}
