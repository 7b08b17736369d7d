package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// pair is a self-signed certificate and its key.
type pair struct{ cert, key string }

// selfSigned returns a certificate for a name. serial tells it from another certificate for that
// name.
func selfSigned(t *testing.T, name string, serial int64) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
	}
}

// install writes a pair as NAME.crt and NAME.key.
func (p pair) install(t *testing.T, dir, name string) {
	t.Helper()
	replace(t, filepath.Join(dir, name+".crt"), p.cert)
	replace(t, filepath.Join(dir, name+".key"), p.key)
}

// secure starts a gateway with TLS and the pairs a.* and b.* in dir.
func secure(t *testing.T, dir string) *running {
	t.Helper()
	file := func(name string) string { return filepath.Join(dir, name) }
	return start(t, listening(hello(t), fmt.Sprintf(`{address: "127.0.0.1:0", tls: {certificates: [{cert: %q, key: %q}, {cert: %q, key: %q}]}}`,
		file("a.crt"), file("a.key"), file("b.crt"), file("b.key"))))
}

// shake makes a handshake and returns the serial number of the server's certificate and the
// connection state.
func shake(t *testing.T, address string, c *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	c.InsecureSkipVerify = true
	conn, err := tls.Dial("tcp", address, c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

func serial(t *testing.T, address, name string) int64 {
	t.Helper()
	state, err := shake(t, address, &tls.Config{ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].SerialNumber.Int64()
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	selfSigned(t, "a.test", 1).install(t, dir, "a")
	selfSigned(t, "b.test", 2).install(t, dir, "b")
	address := secure(t, dir).address(false, 0)

	for name, want := range map[string]int64{"a.test": 1, "b.test": 2, "unknown.test": 1, "": 1} {
		if got := serial(t, address, name); got != want {
			t.Errorf("SNI %q: certificate %d, want %d", name, got, want)
		}
	}
	for _, protocol := range []string{"h2", "http/1.1"} {
		state, err := shake(t, address, &tls.Config{NextProtos: []string{protocol}})
		if err != nil || state.NegotiatedProtocol != protocol {
			t.Errorf("ALPN %s: %q, %v", protocol, state.NegotiatedProtocol, err)
		}
	}
	if _, err := shake(t, address, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("the server accepts TLS 1.1")
	}
	for major, h2 := range map[int]bool{1: false, 2: true} {
		tr := &http.Transport{ForceAttemptHTTP2: h2, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer tr.CloseIdleConnections()
		if resp, body := get(t, &http.Client{Transport: tr, Timeout: patience}, "https://"+address); resp.ProtoMajor != major || body != "hello" {
			t.Errorf("%s %q, want HTTP/%d", resp.Proto, body, major)
		}
	}
}

func TestChangedCertificatesAreReread(t *testing.T) {
	dir := t.TempDir()
	selfSigned(t, "a.test", 1).install(t, dir, "a")
	selfSigned(t, "b.test", 2).install(t, dir, "b")
	p := secure(t, dir)
	address := p.address(false, 0)

	next := selfSigned(t, "a.test", 3)
	replace(t, filepath.Join(dir, "a.crt"), next.cert) // does not match the old key
	p.await(`new certificates cannot be read`)
	if got := serial(t, address, "a.test"); got != 1 {
		t.Errorf("half a pair: certificate %d", got)
	}
	replace(t, filepath.Join(dir, "unrelated"), "a log, say") // a change elsewhere makes the watcher report again
	time.Sleep(2 * settle)
	replace(t, filepath.Join(dir, "a.key"), next.key)
	p.await(`certificate read`)
	if n := p.count(`new certificates cannot be read`); n != 1 {
		t.Errorf("a pair that does not match was logged %d times, want once", n)
	}
	if got := serial(t, address, "a.test"); got != 3 {
		t.Errorf("certificate %d, want the new one", got)
	}
	if got := serial(t, address, "b.test"); got != 2 {
		t.Errorf("b.test: certificate %d", got)
	}
	if n := p.count(reloaded); n != 0 {
		t.Errorf("%d reloads of an unchanged configuration", n)
	}
}
