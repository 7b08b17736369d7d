package field

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/load/program"
)

// wayIn is a listener of a running gateway.
type wayIn struct {
	name, addr string
	tls        bool
}

// waysIn starts gateways that have one listener of each kind between them: in the clear, with HTTP/2 beside it, and over TLS, each with a wire and without.
// config is the configuration but for its listeners.
func waysIn(t *testing.T, config string) []wayIn {
	t.Helper()
	cert, key := certificate(t)
	var ways []wayIn
	for _, wired := range []bool{true, false} {
		p := gateway.Start(t, fmt.Sprintf("version: 1\nserver:\n  listen:\n"+
			"    - {address: \"127.0.0.1:0\", wire: %[1]t}\n    - {address: \"127.0.0.1:0\", wire: %[1]t, h2c: true}\n"+
			"    - {address: \"127.0.0.1:0\", wire: %[1]t, tls: {certificates: [{cert: %[2]q, key: %[3]q}]}}\n%[4]sadmin: {address: \"127.0.0.1:0\"}\n", wired, cert, key, config))
		at := func(secure, h2c bool) string {
			return p.Await(fmt.Sprintf(`msg=listening address=(\S+) admin=false tls=%t h2c=%t`, secure, h2c))
		}
		name := fmt.Sprintf(", wire: %t", wired)
		ways = append(ways, wayIn{"plain" + name, at(false, false), false}, wayIn{"h2c" + name, at(false, true), false}, wayIn{"TLS" + name, at(true, false), true})
	}
	return ways
}

// certificate writes a certificate that clients of a test do not check, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a.example"}, DNSNames: []string{"a.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 24 * 365),
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	err = errors.Join(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// dial opens a connection for HTTP/1.1.
func (w *wayIn) dial(t *testing.T) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.(*net.TCPConn).SetWriteBuffer(64 << 10) // where this fails, more is under way
	if w.tls {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	}
	if err := nc.SetDeadline(time.Now().Add(program.Patience)); err != nil {
		t.Fatal(err)
	}
	return nc
}

// answers sends text and reads responses until the connection ends, or until there are as many as are wanted and the connection goes on.
func (w *wayIn) answers(t *testing.T, text string, wanted int) (got []string) {
	t.Helper()
	nc := w.dial(t)
	defer nc.Close()
	go func() { _, _ = io.WriteString(nc, text) }() // the gateway may have hung up
	br := bufio.NewReader(nc)
	for len(got) < wanted {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			return append(got, "end")
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return append(got, err.Error())
		}
		said := resp.Status[:3]
		if resp.StatusCode == http.StatusOK {
			said += " " + string(body)
		}
		got = append(got, said)
	}
	return got
}

// behind is a request that must only be answered if the one in front of it was sound.
const behind = "GET /behind HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"

// TestEveryWayInHasTheSameVerdict: which requests are taken, and what is understood of them, does not depend on the listener, on what was asked before on the
// connection, or on a line that ends oddly.
func TestEveryWayInHasTheSameVerdict(t *testing.T) {
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Cache-Control", "max-age=600")
		fmt.Fprintf(w, "%s%s %s", r.Host, r.URL.EscapedPath(), body)
	})
	ways := waysIn(t, "upstreams:\n  origin: {targets: [\""+origin.URL+"\"], preserve_host: true}\nroutes:\n"+
		"  - {name: b, match: {host: b.example, path: /*}, upstream: origin, cache: {enabled: true}, rewrite: {add_prefix: /b}}\n"+
		"  - {name: all, match: {path: /*}, upstream: origin, cache: {enabled: true}}\n")
	const (
		get      = "GET /a HTTP/1.1\r\nHost: a.example\r\n"
		post     = "POST /a HTTP/1.1\r\nHost: a.example\r\n"
		chunked  = post + "Transfer-Encoding: chunked\r\n\r\n"
		sized    = "Content-Length: 5\r\n"
		taken    = "200 a.example/a "
		both     = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
		fiveZero = "0\r\n\r\n"
	)
	refused := []string{"400", "end"}
	unsupported := []string{"501", "end"}
	after := "200 a.example/behind "
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		// The ways round the guard.
		{"two lengths", post + both + "\r\n" + fiveZero, refused},
		{"two lengths, a line ends in LF", post + "X: y\n" + both + "\r\n" + fiveZero, refused},
		{"two lengths, all lines end in LF", strings.ReplaceAll(post+both+"\r\n", "\r\n", "\n") + fiveZero, refused},
		{"two lengths, with Expect", post + "Expect: 100-continue\r\n" + both + "\r\n" + fiveZero, refused},
		{"two lengths, with Upgrade", post + "Upgrade: websocket\r\nConnection: upgrade\r\n" + both + "\r\n" + fiveZero, refused},
		{"two lengths, in HTTP/1.2", "POST /a HTTP/1.2\r\nHost: a.example\r\n" + both + "\r\n" + fiveZero, refused},
		{"two lengths, where a hit could answer", get + both + "\r\n" + fiveZero, refused},
		{"two lengths, behind a chunked request", chunked + "1\r\nx\r\n" + fiveZero + post + both + "\r\n" + fiveZero, []string{taken + "x", "400", "end"}},
		{"two lengths, behind an Upgrade", get + "Upgrade: x\r\nConnection: upgrade\r\n\r\n" + post + both + "\r\n" + fiveZero, []string{taken, "400", "end"}},
		{"two lengths, behind an Expect", post + sized + "Expect: 100-continue\r\n\r\nabcde" + post + both + "\r\n" + fiveZero, []string{"100", taken + "abcde", "400", "end"}},
		{"two lengths, behind repeated ones", post + sized + sized + "\r\nabcde" + post + both + "\r\n" + fiveZero, []string{taken + "abcde", "400", "end"}},
		// Lengths and codings.
		{"lengths that differ", post + sized + "Content-Length: 6\r\n\r\nabcdef", refused},
		{"lengths in a list", post + "Content-Length: 5, 5\r\n\r\nabcde", refused},
		{"a length with a sign", post + "Content-Length: +5\r\n\r\nabcde", refused},
		{"a length that can't be counted", post + "Content-Length: 99999999999999999999\r\n\r\nabcde", refused},
		{"no length", post + "Content-Length:\r\n\r\n", refused},
		{"the same length twice", post + sized + sized + "\r\nabcde" + behind, []string{taken + "abcde", after, "end"}},
		{"a coding in HTTP/1.0", "POST /a HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + fiveZero, refused},
		{"a coding and a length in HTTP/1.0", "POST /a HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n" + both + "\r\n" + fiveZero, refused},
		{"another coding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n" + fiveZero, unsupported},
		{"a coding twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + fiveZero, unsupported},
		{"a coding in other letters", post + "Transfer-Encoding:\tChunked \r\n\r\n1\r\nx\r\n" + fiveZero + behind, []string{taken + "x", after, "end"}},
		// Chunks.
		{"extensions and a trailer", chunked + "1;a=b;c=\"d\"\r\nx\r\n0\r\nX-A: b\r\n\r\n" + behind, []string{taken + "x", after, "end"}},
		{"a size that is no number", chunked + "0x1\r\nx\r\n" + fiveZero, refused},
		{"a size with a sign", chunked + "-1\r\nx\r\n" + fiveZero, refused},
		{"no size", chunked + "\r\nx\r\n" + fiveZero, refused},
		{"a size that can't be counted", chunked + "fffffffffffffffff\r\nx\r\n" + fiveZero, refused},
		{"a size of sixteen digits", chunked + "0000000000000001\r\nx\r\n" + fiveZero, refused},
		{"a size that ends in LF", chunked + "1\nx\r\n" + fiveZero, refused},
		{"an extension with LF", chunked + "1;a\nx\r\n" + fiveZero, refused},
		{"an extension with CR", chunked + "1;a\rb\r\nx\r\n" + fiveZero, refused},
		{"an extension with NUL", chunked + "1;a=\x00\r\nx\r\n" + fiveZero, refused},
		{"a chunk longer than its size", chunked + "1\r\nxy\r\n" + fiveZero, refused},
		{"a chunk that ends in LF", chunked + "1\r\nx\n" + fiveZero, refused},
		{"a trailer without a name", chunked + "1\r\nx\r\n0\r\n: b\r\n\r\n", refused},
		{"a trailer without a colon", chunked + "1\r\nx\r\n0\r\nGET /behind HTTP/1.1\r\n\r\n", refused},
		{"a trailer with a space in front of the colon", chunked + "1\r\nx\r\n0\r\nX-A : b\r\n\r\n", refused},
		{"a folded trailer", chunked + "1\r\nx\r\n0\r\nX-A: b\r\n c\r\n\r\n", refused},
		{"a trailer that ends in LF", chunked + "1\r\nx\r\n0\r\nX-A: b\n\r\n", refused},
		{"an end that is LF", chunked + "1\r\nx\r\n0\r\n\n", refused},
		// Fields.
		{"a folded field", get + "X: a\r\n b\r\n\r\n", refused},
		{"a folded field, lines end in LF", "GET /a HTTP/1.1\nHost: a.example\nX: a\n\tb\n\n", refused},
		{"a field that hides behind the request line", "GET /a HTTP/1.1\r\n X: a\r\nHost: a.example\r\n\r\n", refused},
		{"a space in front of a colon", get + "X : a\r\n\r\n", refused},
		{"a field without a colon", get + "X\r\n\r\n", refused},
		{"a field without a name", get + ": a\r\n\r\n", refused},
		{"a value with CR", get + "X: a\rY: b\r\n\r\n", refused},
		{"a value with NUL", get + "X: a\x00b\r\n\r\n", refused},
		{"CR CR LF", get + "X: a\r\r\n\r\n", refused},
		{"lines that end in LF", "GET /a HTTP/1.1\nHost: a.example\n\n" + behind, []string{taken, after, "end"}},
		{"empty lines in front", "\r\n\r\n" + get + "\r\n\r\n" + behind, []string{taken, after, "end"}},
		// Targets and hosts.
		{"the target's host counts", "GET http://b.example/a HTTP/1.1\r\nHost: a.example\r\n\r\n" + behind, []string{"200 b.example/b/a ", after, "end"}},
		{"the target's host counts, lines end in LF", "GET http://b.example/a HTTP/1.1\nHost: a.example\n\n" + behind, []string{"200 b.example/b/a ", after, "end"}},
		{"the target's host counts for a body", "POST HTTP://B.example/a HTTP/1.1\r\nHost: a.example\r\n" + sized + "\r\nabcde" + behind, []string{"200 b.example/b/a abcde", after, "end"}},
		{"an absolute target without Host", "GET http://b.example/a HTTP/1.1\r\n\r\n", refused},
		{"an absolute target with several Hosts", "GET http://b.example/a HTTP/1.1\r\nHost: b.example\r\nHost: b.example\r\n\r\n", refused},
		{"an absolute target with a Host that is none", "GET http://b.example/a HTTP/1.1\r\nHost: u@a.example/\r\n\r\n", refused},
		{"an absolute target with userinfo", "GET http://u@b.example/a HTTP/1.1\r\nHost: b.example\r\n\r\n", refused},
		{"an absolute target without a host", "GET http:///a HTTP/1.1\r\nHost: b.example\r\n\r\n", refused},
		{"several Hosts", get + "Host: b.example\r\n\r\n", refused},
		{"a target with a space", "GET /a /b HTTP/1.1\r\nHost: a.example\r\n\r\n", refused},
		{"two spaces", "GET  /a HTTP/1.1\r\nHost: a.example\r\n\r\n", refused},
		{"a target with a control character", "GET /a\x01 HTTP/1.1\r\nHost: a.example\r\n\r\n", refused},
		{"a target with a fragment", "GET /a#b HTTP/1.1\r\nHost: a.example\r\n\r\n", refused},
		{"a target in UTF-8", "GET /ä HTTP/1.1\r\nHost: a.example\r\n\r\n" + behind, []string{"200 a.example/%C3%A4 ", after, "end"}},
		{"CONNECT", "CONNECT b.example:80 HTTP/1.1\r\nHost: b.example:80\r\n\r\n", unsupported},
		{"CONNECT with a length", "CONNECT b.example:80 HTTP/1.1\r\nHost: b.example:80\r\n" + sized + "\r\nabcde", unsupported},
		{"TRACE", "TRACE /a HTTP/1.1\r\nHost: a.example\r\n\r\n", []string{"405", "end"}},
		{"no version", "GET /a\r\nHost: a.example\r\n\r\n", refused},
		{"another version", "GET /a HTTP/3.0\r\nHost: a.example\r\n\r\n", []string{"505", "end"}},
		// HTTP/1.0
		{"HTTP/1.0 keeps a connection that is asked for by name", strings.Repeat("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: a.example\r\n\r\n", 2) + behind, []string{taken, taken, after, "end"}},
		{"HTTP/1.0 with a body does so too", "POST /a HTTP/1.0\r\nConnection: keep-alive\r\nHost: a.example\r\n" + sized + "\r\nabcde" + behind, []string{taken + "abcde", after, "end"}},
		{"HTTP/1.0 closes otherwise", "GET /a HTTP/1.0\r\nHost: a.example\r\n\r\n", []string{taken, "end"}},
	} {
		for _, w := range ways {
			text := tt.text
			if !strings.HasSuffix(text, behind) {
				text += behind
			}
			if got := w.answers(t, text, len(tt.want)+1); !slices.Equal(got, tt.want) {
				t.Errorf("%s: %s: %q instead of %q", w.name, tt.name, got, tt.want)
			}
		}
	}
}
