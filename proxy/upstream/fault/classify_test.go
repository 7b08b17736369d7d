package fault

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// Only what the client did is put down to it.
func TestRequestBodyErrors(t *testing.T) {
	f := func(err error, want Kind, status int) {
		t.Helper()
		if k := Classify(RequestBodyError("t", err), Awaiting); k != want || k.Status() != status {
			t.Errorf("%v: %v, %d", err, k, k.Status())
		}
	}
	f(io.ErrUnexpectedEOF, RequestBody, 400)
	f(errors.New("malformed chunked encoding"), RequestBody, 400)
	f(&http.MaxBytesError{Limit: 1}, RequestTooLarge, 413)
	f(http.ErrBodyReadAfterClose, ConnectionTerminated, 502)
	f(ErrTaken, ConnectionTerminated, 502)
}

// TestNoFilesLeft checks that the gateway's lack of files is not taken for a failure of the target.
func TestNoFilesLeft(t *testing.T) {
	for _, none := range []error{syscall.EMFILE, syscall.ENFILE} {
		dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", none)}
		lookup := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Name: "api", Err: "dial udp 127.0.0.11:53: " + os.NewSyscallError("socket", none).Error()}}
		for _, err := range []error{dial, lookup, fmt.Errorf("TLS: %w", dial)} {
			k := Classify(err, Connecting)
			e := &Error{Kind: k, Target: "https://api", Err: err}
			if k != NoFiles || e.ProxyStatus() != "proxy_internal_error" || e.Status() != 503 || e.RetryAfter() == 0 || !strings.Contains(e.Detail(), "ulimit -n") {
				t.Errorf("%v: %v, %d, %q", err, k, e.Status(), e.Detail())
			}
		}
	}
	if k := Classify(&net.DNSError{Name: "api", Err: "no such host"}, Connecting); k != DNSError {
		t.Errorf("a name without an address is %v", k)
	}
}

func TestKinds(t *testing.T) {
	for k := range Kind(len(kindFacts)) {
		if k.ProxyStatus() == "" || http.StatusText(k.Status()) == "" {
			t.Errorf("kind %d has no name or status", k)
		}
	}
	if Kind(200).Status() != 500 || Kind(200).ProxyStatus() != "proxy_internal_error" {
		t.Error("an unknown kind is no internal error")
	}
	if !ConnectionTimeout.Timeout() || PoolExhausted.Timeout() {
		t.Error("Timeout does not tell timeouts from others")
	}
}
