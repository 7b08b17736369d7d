//go:build unix

package upstream

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// withoutFiles runs f while the process can open no further file.
func withoutFiles(t *testing.T, f func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// TestNoFilesLeft checks that a gateway without open files names itself as the cause, and that the
// target stays in use.
func TestNoFilesLeft(t *testing.T) {
	resolver := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true} // releases are built without cgo
	t.Cleanup(func() { net.DefaultResolver = resolver })
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	plain, secure := httptest.NewServer(hello), httptest.NewTLSServer(hello)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	for _, url := range []string{plain.URL, secure.URL, "http://name.invalid", "https://name.invalid"} {
		c := to(url)
		c.TLS.InsecureSkipVerify = true
		p := newPool(t, c)
		var err error
		withoutFiles(t, func() { _, err = p.RoundTrip(request("GET", "/", nil)) })
		var own *fault.Error
		if !errors.As(err, &own) || own.Kind != fault.NoFiles {
			t.Errorf("%s: %v, want the lack of files as the reason", url, err)
		}
		if s := p.targets[0].health.load(); s != (standing{}) {
			t.Errorf("%s: the gateway's failure counts against the target: %+v", url, s)
		}
		if s := p.Status().Targets[0]; s.Failing || s.Failures != 0 {
			t.Errorf("%s: the target is told as failing: %+v", url, s)
		}
		if s := p.Stats()[0]; s.Unopened != 1 || s.Failures != 0 {
			t.Errorf("%s: counted as %+v", url, s)
		}
	}
}
