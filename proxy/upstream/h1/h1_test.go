package h1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// read reads one response, and its body, in pieces of at most step bytes; 0: as it comes.
func read(s, method string, step int) (resp http.Response, body string, left int, err error) {
	var src io.Reader = strings.NewReader(s)
	if step == 1 {
		src = iotest.OneByteReader(src)
	}
	var b Reader
	b.Reset(src)
	defer b.Release()
	framing, err := b.ReadResponse(&resp, method, 4<<10)
	if err != nil {
		return resp, "", 0, err
	}
	content := b.Body(&resp, framing)
	all, err := io.ReadAll(&content)
	return resp, string(all), b.Buffered(), err
}

func TestResponses(t *testing.T) {
	f := func(response, method, want string) {
		t.Helper()
		for _, step := range []int{0, 1} {
			resp, body, _, err := read(response, method, step)
			got := fmt.Sprintf("%d %d %v %q %v %v", resp.StatusCode, resp.ContentLength, resp.Close, body, resp.Header, resp.Trailer)
			if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%q\n got %s\nwant %s", response, got, want)
			}
		}
	}
	f("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET", `200 2 false "ok" map[Content-Length:[2]] map[]`)
	f("HTTP/1.1 200\r\ncontent-length:0\r\n\r\n", "GET", `200 0 false "" map[Content-Length:[0]] map[]`)
	f("HTTP/1.1 200 \r\ncontent-length:0\r\n\r\n", "GET", `200 0 false "" map[Content-Length:[0]] map[]`)
	f("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "GET", `200 2 false "ok" map[Content-Length:[2]] map[]`)
	f("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", "HEAD", `200 500 false "" map[Content-Length:[500]] map[]`)
	f("HTTP/1.1 304 No\r\nContent-Length: 500\r\n\r\n", "GET", `304 0 false "" map[Content-Length:[500]] map[]`)
	f("HTTP/1.1 204 No\r\n\r\n", "GET", `204 0 false "" map[] map[]`)
	f("HTTP/1.1 200 OK\r\n\r\nto the end", "GET", `200 -1 true "to the end" map[] map[]`)
	f("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "GET", `200 1 true "x" map[Content-Length:[1]] map[]`)
	f("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", "GET", `200 1 false "x" map[Connection:[keep-alive] Content-Length:[1]] map[]`)
	f("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", "GET", `200 1 true "x" map[Connection:[Close] Content-Length:[1]] map[]`)
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	f(chunked+"\r\n2\r\nab\r\nA ; x=y\r\n0123456789\r\n0\r\n\r\n", "GET", `200 -1 false "ab0123456789" map[] map[]`)
	f(chunked+"Trailer: X-A, x-b\r\n\r\n1\r\na\r\n0\r\nX-A: 1\r\nX-C: 2\r\n\r\n", "GET", `200 -1 false "a" map[] map[X-A:[1] X-B:[] X-C:[2]]`)
	f(chunked+"\r\n0\r\nX-C: 2\r\n\r\n", "GET", `200 -1 false "" map[] map[X-C:[2]]`)
	f(chunked+"Content-Length: 3\r\n\r\n1\r\na\r\n0\r\n\r\n", "GET", fault.ErrFraming.Error())
	f(chunked+"Content-Length: 3\r\n\r\n", "HEAD", `200 -1 true "" map[] map[]`)
	const old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n"
	f(old+"\r\n1\r\na\r\n0\r\n\r\n", "GET", fault.ErrFraming.Error())
	f(old+"Connection: keep-alive\r\nContent-Length: 1\r\n\r\na", "GET", fault.ErrFraming.Error())
	f(old+"\r\n", "HEAD", `200 -1 true "" map[] map[]`)
	f("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "GET", `200 2 false "ok" map[Content-Length:[2]] map[]`)
	f("HTTP/1.1 200 OK\r\nX: a\r\n\t b \r\n\r\n  c\r\n", "GET", `200 -1 true "  c\r\n" map[X:[a b]] map[]`)
	f("HTTP/1.1 200 OK\r\nX-A : 1\r\nx-a:2\r\nContent-Length: 0\r\n\r\n", "GET", `200 0 false "" map[Content-Length:[0] X-A:[1 2]] map[]`)
	f("HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 0\r\n\r\n", "GET", `200 0 false "" map[Cache-Control:[no-cache] Content-Length:[0] Pragma:[no-cache]] map[]`)

	f("", "GET", "unexpected EOF")
	f("HTTP/1.1 200 OK\r\nX: y\r\n", "GET", "unexpected EOF")
	f("HTTP/1.1 200 OK\r\nX", "GET", "malformed field line")
	f("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("y", 4<<10)+"\r\n\r\n", "GET", fault.ErrHeaderTooLarge.Error())
	f("HTTP/1.1 200 OK\r\n X: y\r\n\r\n", "GET", "malformed field line")
	f("HTTP/1.1 200 OK\r\n: y\r\n\r\n", "GET", "malformed field line")
	f("HTTP/1.1 200 OK\r\nX: a\rY: b\r\n\r\n", "GET", "malformed field line")
	f("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "GET", errLength.Error())
	f("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", "GET", errLength.Error())
	f("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "GET", "unexpected EOF")
	f(chunked+"\r\n2\r\nab\r\n", "GET", "unexpected EOF")
	f(chunked+"\r\n2\nab\r\n0\r\n\r\n", "GET", errChunk.Error())
	f(chunked+"\r\n2\r\nabc\r\n0\r\n\r\n", "GET", errChunk.Error())
	f(chunked+"\r\n0\r\n\n", "GET", errChunk.Error())
	f(chunked+"\r\n1000000000000000\r\n", "GET", errChunk.Error())
	f(chunked+"\r\n"+strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\na\r\n", 20)+"0\r\n\r\n", "GET", "the chunked coding has too much beside the data")
}

// What speaks no HTTP is known by its first bytes: it may be waiting for us.
func TestOtherProtocolsAreToldEarly(t *testing.T) {
	var b Reader
	b.Reset(io.MultiReader(strings.NewReader("SSH-2.0-x\r\n"), iotest.ErrReader(errors.New("waited"))))
	defer b.Release()
	if _, err := b.ReadResponse(new(http.Response), "GET", 1<<10); !errors.Is(err, errMalformed) {
		t.Errorf("%v", err)
	}
}

// The end of a body comes along with its last bytes where those are known to be the last, so that the connection is free early.
func TestEndComesWithTheLastBytes(t *testing.T) {
	for _, s := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"} {
		for _, size := range []int{2, 100} {
			var b Reader
			b.Reset(strings.NewReader(s))
			var resp http.Response
			framing, err := b.ReadResponse(&resp, "GET", 1<<10)
			if err != nil {
				t.Fatal(err)
			}
			body := b.Body(&resp, framing)
			if n, err := body.Read(make([]byte, size)); n != 2 || err != io.EOF {
				t.Errorf("%q: %d, %v", s, n, err)
			}
			b.Release()
		}
	}
}

// FuzzResponse holds the reader beside net/http's: what it takes, net/http takes alike. It may refuse more.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2;x\r\nok\r\n0\r\nA: b\r\n\r\nx",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nok",
		"HTTP/1.1 304 X\nContent-Length: 5\nConnection: close\n\n",
		"HTTP/1.1 200 OK\r\nX : a\r\n b\r\nPragma: no-cache\r\n\r\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, p []byte, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		resp, body, left, err := read(string(p), method, 0)
		if one, again, _, err1 := read(string(p), method, 1); (err == nil) != (err1 == nil) || body != again || fmt.Sprint(one.Header, one.Trailer) != fmt.Sprint(resp.Header, resp.Trailer) {
			t.Fatalf("whole: %q %v, %v; by bytes: %q %v, %v", body, resp.Header, err, again, one.Header, err1)
		}
		if err != nil || resp.StatusCode < 100 { // what is none is refused by whoever reads it
			return
		}
		br := bufio.NewReader(bytes.NewReader(p))
		want, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("net/http refuses a response that was accepted: %v", err)
		}
		all, err := io.ReadAll(want.Body)
		if err != nil || string(all) != body {
			t.Fatalf("body %q, net/http has %q, %v", body, all, err)
		}
		for name, values := range want.Header {
			if strings.Contains(name, " ") { // before the colon it is removed here, and the field is read as what it is
				return
			}
			for i := range values { // where folding left some, net/http lets it be
				values[i] = strings.Join(strings.Fields(values[i]), " ")
			}
		}
		for _, values := range resp.Header {
			for i := range values {
				values[i] = strings.Join(strings.Fields(values[i]), " ")
			}
		}
		want.Header.Del("Transfer-Encoding")
		resp.Header.Del("Connection") // of which net/http removes some
		want.Header.Del("Connection")
		if fmt.Sprint(resp.Header, resp.Trailer, resp.StatusCode, resp.ContentLength) != fmt.Sprint(want.Header, want.Trailer, want.StatusCode, want.ContentLength) {
			t.Fatalf("%v %v %d %d, net/http has %v %v %d %d", resp.Header, resp.Trailer, resp.StatusCode, resp.ContentLength, want.Header, want.Trailer, want.StatusCode, want.ContentLength)
		}
		if want.Close && !resp.Close {
			t.Fatal("net/http closes the connection")
		}
		if rest := br.Buffered(); len(p) < 4096 && !resp.Close && rest != left {
			t.Fatalf("%d bytes left over, net/http has %d", left, rest)
		}
	})
}

func BenchmarkReadResponse(b *testing.B) {
	const s = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: public, max-age=3600\r\nETag: \"abc\"\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"
	b.ReportAllocs()
	var r Reader
	src := strings.NewReader(s)
	buf := make([]byte, 1<<10)
	for b.Loop() {
		src.Reset(s)
		r.Reset(src)
		var resp http.Response
		framing, err := r.ReadResponse(&resp, http.MethodGet, 64<<10)
		if err != nil {
			b.Fatal(err)
		}
		body := r.Body(&resp, framing)
		if n, err := body.Read(buf); n != 2 || err != io.EOF {
			b.Fatal(n, err)
		}
		r.Release()
	}
}
