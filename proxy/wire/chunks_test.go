package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// bodies are chunked bodies, valid and malformed, with bytes after them.
var bodies = []string{
	"0\r\n\r\nGET", "3\r\nabc\r\n0\r\n\r\nGET", "3;a=\"b;c\"\r\nabc\r\n00;x\r\nX: y\r\nZ:\r\n\r\nGET", "A \t\r\n0123456789\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n",
	"3 ;a\r\nabc\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "3\r\nabc0\r\n\r\n", "3\r\nab\r\n0\r\n\r\n", "\r\n", ";\r\n", "g\r\n", "-1\r\n", "0x1\r\na\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\n", "0\r\nX\r\n\r\n",
	"0\r\n\r\r\n\r\n", "1000000000000000\r\n", "000000000000001\r\na\r\n0\r\n\r\n", "3;\x00\r\nabc\r\n0\r\n\r\n", "3;\r\r\nabc\r\n0\r\n\r\n", "0\r\nX: \x7f\r\n\r\n", "0\r\nX: y\n\r\n\r\n",
}

// FuzzChunks checks that net/http accepts every body that is valid and complete here, with the same
// end, and that it rejects the bytes that replace a malformed body.
func FuzzChunks(f *testing.F) {
	for _, b := range bodies {
		f.Add([]byte(b), uint8(3))
	}
	f.Fuzz(func(t *testing.T, body []byte, piece uint8) {
		var c chunks
		c.begin()
		sound, ok := 0, true
		for ok && c.open() && sound < len(body) {
			var n int
			n, ok = c.follow(body[sound:min(len(body), sound+1+int(piece))])
			sound += n
		}
		got := bytes.Clone(body[:sound])
		if !ok {
			got = append(got, malformed...)
		}
		br := bufio.NewReader(io.MultiReader(strings.NewReader("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(append(got, "next"...))))
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(r.Body)
		if !ok && err == nil {
			t.Fatalf("net/http takes %q", got)
		}
		if rest, _ := io.ReadAll(br); err == nil && (c.open() || string(rest) != "next") {
			t.Fatalf("%q: net/http sees another end, in front of %q", got, rest)
		}
	})
}

// TestChunks checks that the pieces in which a body arrives make no difference.
func TestChunks(t *testing.T) {
	for _, tt := range []struct {
		body string
		end  int // -1 if the body is malformed
	}{
		{bodies[0], 5}, {bodies[1], 13}, {bodies[2], 34}, {bodies[3], 22}, {bodies[4], -1}, {bodies[5], -1}, {bodies[6], -1}, {bodies[7], -1}, {bodies[8], -1}, {bodies[9], -1}, {bodies[10], -1},
		{bodies[14], -1}, {bodies[17], -1}, {bodies[18], 25}, {"0\r\n" + strings.Repeat("X: y\r\n", 1000) + "\r\n", -1}, {"1;" + strings.Repeat("x", 5000) + "\r\n", -1},
	} {
		for size := 1; size <= len(tt.body); size++ {
			var c chunks
			c.begin()
			end, ok := 0, true
			for ok && c.open() && end < len(tt.body) {
				var n int
				n, ok = c.follow([]byte(tt.body[end:min(len(tt.body), end+size)]))
				end += n
			}
			if ok != (tt.end >= 0) || ok && (end != tt.end || c.open()) {
				t.Errorf("%.40q in pieces of %d: %d, %t", tt.body, size, end, ok)
				break
			}
		}
	}
}
