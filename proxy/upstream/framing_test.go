package upstream

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// tlsSpeaker answers one request on each TLS connection with the given bytes. If alert is true it says that it ends; otherwise the TCP connection ends.
func tlsSpeaker(t *testing.T, answer string, alert bool) (url string, ca []byte) {
	t.Helper()
	like, ca := tlsServer(t, false, echo)
	config := &tls.Config{Certificates: like.TLS.Certificates}
	s := serve(t, func(_ *script, c net.Conn, _ *bufio.Reader) {
		secure := tls.Server(c, config)
		if _, err := http.ReadRequest(bufio.NewReader(secure)); err != nil {
			return
		}
		io.WriteString(secure, answer)
		if alert {
			secure.CloseWrite()
		}
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
	})
	return strings.Replace(s.url, "http", "https", 1), ca
}

func TestAnEndInDoubtIsAnErrorOverTLS(t *testing.T) {
	f := func(answer string, alert bool, want string) {
		t.Helper()
		url, ca := tlsSpeaker(t, answer, alert)
		c := to(url)
		c.TLS.CA = ca
		for _, protocol := range []Protocol{ProtocolH1, ProtocolAuto} {
			c.Protocol = protocol
			p := newPool(t, c)
			got := ""
			resp, err := p.RoundTrip(request("GET", "/", nil))
			if err == nil {
				var body []byte
				body, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				got = string(body)
			}
			if err != nil {
				got = fault.Classify(err, fault.Receiving).String()
			}
			if got != want {
				t.Errorf("%q, closing alert %v, %s: %s, want %s (%v)", answer, alert, protocol, got, want, err)
			}
		}
	}
	const incomplete, refused = "http_response_incomplete", "http_protocol_error"
	f("HTTP/1.1 200 OK\r\n\r\nhello", true, "hello")
	f("HTTP/1.1 200 OK\r\n\r\nhello", false, incomplete)
	f("HTTP/1.0 200 OK\r\n\r\nhello", true, "hello")
	f("HTTP/1.0 200 OK\r\n\r\nhello", false, incomplete)
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, "hello") // it says itself where it ends
	f("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", true, incomplete)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, "hello")
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true, incomplete)
	f("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, refused)
	f("HTTP/1.0 200 OK\r\ntransfer-encoding : chunked\r\nContent-Length: 5\r\n\r\nhello", true, refused)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, refused)
	f("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, refused)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, refused)
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", true, refused)
	f("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", true, "") // there is no body to be in doubt
}

// frames speaks HTTP/2 in the clear: it answers each stream with what answer writes.
func frames(t *testing.T, answer func(fr *http2.Framer, id uint32)) string {
	t.Helper()
	return serve(t, func(_ *script, c net.Conn, br *bufio.Reader) {
		if _, err := io.ReadFull(br, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		fr := http2.NewFramer(c, br)
		fr.WriteSettings()
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					fr.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				answer(fr, f.StreamID)
			}
		}
	}).url
}

// headers writes a header section with the given names and values.
func headers(fr *http2.Framer, id uint32, end bool, fields ...string) {
	var b strings.Builder
	enc := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte(b.String()), EndHeaders: true, EndStream: end})
}

func TestHTTP2LengthsAreChecked(t *testing.T) {
	f := func(name, method, want string, answer func(fr *http2.Framer, id uint32)) {
		t.Helper()
		c := to(frames(t, answer))
		c.Protocol = ProtocolH2C
		p := newPool(t, c)
		resp, err := p.RoundTrip(request(method, "/", nil))
		got := ""
		if err == nil {
			var body []byte
			body, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if got = string(body); err != nil && resp.ContentLength >= 0 && int64(len(body)) >= resp.ContentLength && len(body) > 0 {
				t.Errorf("%s: all %d announced bytes were passed on", name, resp.ContentLength)
			}
		}
		if err != nil {
			got = fault.Classify(err, fault.Receiving).String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q (%v)", name, got, want, err)
		}
	}
	const incomplete, refused = "http_response_incomplete", "http_protocol_error"
	with := func(data string, fields ...string) func(fr *http2.Framer, id uint32) {
		return func(fr *http2.Framer, id uint32) {
			headers(fr, id, false, append([]string{":status", "200"}, fields...)...)
			fr.WriteData(id, true, []byte(data))
		}
	}
	alone := func(status string, fields ...string) func(fr *http2.Framer, id uint32) {
		return func(fr *http2.Framer, id uint32) {
			headers(fr, id, true, append([]string{":status", status}, fields...)...)
		}
	}
	f("no length", "GET", "hello", with("hello"))
	f("the right length", "GET", "hello", with("hello", "content-length", "5"))
	f("the right length, twice", "GET", "hello", with("hello", "content-length", "5", "content-length", "5"))
	f("too short", "GET", incomplete, with("hello", "content-length", "6"))
	f("too long", "GET", refused, with("hello", "content-length", "4"))
	f("too long for nothing", "GET", refused, with("hello", "content-length", "0"))
	f("too long, said twice", "GET", refused, with("hello", "content-length", "4", "content-length", "4"))
	f("two lengths", "GET", refused, with("hello", "content-length", "5", "content-length", "6"))
	f("no number", "GET", refused, with("hello", "content-length", "5, 5"))
	f("a signed number", "GET", refused, with("hello", "content-length", "+5"))
	f("a transfer coding", "GET", refused, with("5\r\nhello\r\n0\r\n\r\n", "transfer-encoding", "chunked"))
	f("nothing of the announced body", "GET", incomplete, alone("200", "content-length", "5"))
	f("nothing of a body announced twice", "GET", incomplete, alone("200", "content-length", "5", "content-length", "5"))
	f("a length in the answer to HEAD", "HEAD", "", alone("200", "content-length", "5"))
	f("a length in a 304", "GET", "", alone("304", "content-length", "5"))
	f("a longer end in a frame of its own", "GET", refused, func(fr *http2.Framer, id uint32) {
		headers(fr, id, false, ":status", "200", "content-length", "5")
		fr.WriteData(id, false, []byte("hello"))
		fr.WriteData(id, true, []byte("!"))
	})
	f("an end in a frame of its own", "GET", "hello", func(fr *http2.Framer, id uint32) {
		headers(fr, id, false, ":status", "200", "content-length", "5")
		fr.WriteData(id, false, []byte("hello"))
		fr.WriteData(id, true, nil)
	})
	f("trailers", "GET", "hello", func(fr *http2.Framer, id uint32) {
		headers(fr, id, false, ":status", "200", "content-length", "5", "trailer", "x-a")
		fr.WriteData(id, false, []byte("hello"))
		headers(fr, id, true, "x-a", "b")
	})
	f("reset in the place of the end", "GET", incomplete, func(fr *http2.Framer, id uint32) {
		headers(fr, id, false, ":status", "200", "content-length", "5")
		fr.WriteData(id, false, []byte("hello"))
		fr.WriteRSTStream(id, http2.ErrCodeInternal)
	})
	f("reset without a length", "GET", incomplete, func(fr *http2.Framer, id uint32) {
		headers(fr, id, false, ":status", "200")
		fr.WriteData(id, false, []byte("hello"))
		fr.WriteRSTStream(id, http2.ErrCodeNo)
	})
}
