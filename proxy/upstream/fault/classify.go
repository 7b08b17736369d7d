package fault

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
)

// Phase says how far an attempt had come when it failed. The meaning of an error depends on it.
type Phase uint8

const (
	Connecting Phase = iota // TCP and TLS
	Awaiting                // the request is being sent, or the response awaited
	Receiving               // the response's body
)

// Classify finds the Kind of err. An *Error in its chain knows best.
func Classify(err error, at Phase) Kind {
	var own *Error
	if errors.As(err, &own) {
		return own.Kind
	}
	if noFiles(err) {
		return NoFiles
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
	if at == Connecting {
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

func classifyNet(err error, at Phase) (Kind, bool) {
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
	case TimedOut(err):
		return timeoutKind(err, at), true
	case lost(err) && at == Receiving:
		return ResponseIncomplete, true
	case lost(err):
		return ConnectionTerminated, true
	}
	return 0, false
}

// noFiles reports whether err says that the process (EMFILE) or the system (ENFILE) has no open
// files left. A lookup of a name needs a file too; a net.DNSError has the text of its cause, not
// the cause.
func noFiles(err error) bool {
	var dns *net.DNSError
	isDNS := errors.As(err, &dns)
	for _, none := range []error{syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, none) || isDNS && strings.HasSuffix(dns.Err, none.Error()) {
			return true
		}
	}
	return false
}

// IsNoFiles reports whether err is an *Error of the kind NoFiles. Such a failure says nothing about
// the target.
func IsNoFiles(err error) bool {
	var own *Error
	return errors.As(err, &own) && own.Kind == NoFiles
}

// TimedOut reports whether err says that a deadline has passed.
func TimedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

func timeoutKind(err error, at Phase) Kind {
	var op *net.OpError
	isOp := errors.As(err, &op)
	switch {
	case at == Connecting, isOp && op.Op == "dial":
		return ConnectionTimeout
	case isOp && op.Op == "write":
		return WriteTimeout
	case at == Receiving:
		return ReadTimeout
	}
	return ResponseTimeout
}

// lost reports whether err says that the connection went away.
func lost(err error) bool {
	for _, gone := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed, ErrEarly, ErrTaken} {
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
	"client conn could not be established", "client conn not usable", "client conn is closed", "graceful shutdown GOAWAY", "received GOAWAY from server", "force closed via ClientConn.Close",
	"cannot rewind body after connection loss",
}

func headerTooLarge(err error) bool {
	if errors.Is(err, ErrHeaderTooLarge) {
		return true
	}
	s := err.Error()
	return strings.Contains(s, "response headers exceeded") || strings.Contains(s, "response header list larger")
}

// RequestBodyError makes an *Error of a failure to read the client's body. It is the client's
// failure, unless the gateway itself has closed the body.
func RequestBodyError(target string, err error) error {
	var tooLarge *http.MaxBytesError
	kind := RequestBody
	switch {
	case errors.As(err, &tooLarge):
		kind = RequestTooLarge
	case errors.Is(err, http.ErrBodyReadAfterClose), errors.Is(err, ErrTaken):
		kind = ConnectionTerminated
	case errors.Is(err, os.ErrDeadlineExceeded):
		kind = RequestStalled
	}
	return &Error{Kind: kind, Target: target, Err: err}
}
