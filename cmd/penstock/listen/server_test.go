package listen

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/wire"
)

// answering is a handler whose hits connections may answer.
type answering struct{ http.Handler }

// Wire returns a wire.Hot that answers nothing.
func (answering) Wire() (wire.Hot, func() time.Time) { return silent{}, nil }

type silent struct{}

func (silent) Answer(*wire.Request, *wire.Answer) bool { return false }
func (silent) Sent(*observe.Hit)                       {}

// TestH2HasAWire checks that HTTP/2 connections have a wire, except if it is switched off or HTTP/2
// is.
func TestH2HasAWire(t *testing.T) {
	dir := t.TempDir()
	selfSigned(t, dir)
	secure := &config.ListenerTLS{Certificates: []config.Certificate{{Cert: filepath.Join(dir, "a.crt"), Key: filepath.Join(dir, "a.key")}}}
	for _, test := range []struct {
		listener config.Listener
		want     bool
	}{{config.Listener{TLS: secure, Wire: true}, true}, {config.Listener{TLS: secure}, false}, {config.Listener{Wire: true}, false},
		{config.Listener{H2C: true, Wire: true}, true}, {config.Listener{H2C: true}, false}} {
		s, err := newServer(settings{listener: test.listener}, answering{http.NotFoundHandler()}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.h2 != nil; got != test.want {
			t.Errorf("%+v: HTTP/2 has a wire: %t", test.listener, got)
		}
	}
}

// selfSigned writes a certificate and its key as a.crt and a.key.
func selfSigned(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"x.test"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"a.crt": {Type: "CERTIFICATE", Bytes: cert}, "a.key": {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
