package std

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/proxy/upstream/hop"
)

var errLonger = errors.New("the response is longer than its Content-Length")

// checkLength refuses an HTTP/2 response whose fields leave its length in doubt (RFC 9113 §8.1.1,
// §8.2.2), which net/http ignores. Several equal lengths are made one.
func checkLength(resp *http.Response, method string) error {
	if resp.ProtoMajor != 2 {
		return nil // net/http refuses these itself
	}
	if lines := resp.Header["Transfer-Encoding"]; len(lines) > 0 {
		return fmt.Errorf("Transfer-Encoding %q over HTTP/2", lines)
	}
	lines := resp.Header["Content-Length"]
	if len(lines) == 0 {
		return nil
	}
	n, err := strconv.ParseUint(lines[0], 10, 63)
	if err != nil || lines[0][0] == '+' {
		return fmt.Errorf("invalid Content-Length %q", lines[0])
	}
	for _, l := range lines[1:] {
		if l != lines[0] {
			return fmt.Errorf("Content-Length is %q and %q", lines[0], l)
		}
	}
	resp.Header["Content-Length"] = lines[:1:1]
	if hop.BodyAllowed(method, resp.StatusCode) {
		resp.ContentLength = int64(n)
	}
	return nil
}

// exactBody is the body of an HTTP/2 response with a length. It fails if the body is shorter or
// longer. Its last piece is held back until the end of the stream has come: a client that had all
// announced bytes would take them for the whole of a good response.
type exactBody struct {
	io.ReadCloser
	left int64
	err  error
}

// Read reads from the body.
func (b *exactBody) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	switch {
	case b.left < 0:
		err = errLonger
	case b.left == 0 && err == nil:
		err = b.end()
	case b.left > 0 && err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	b.err = err
	if b.left <= 0 && err != io.EOF {
		n = 0
	}
	return n, err
}

// end reads the end of the stream.
func (b *exactBody) end() error {
	var one [1]byte
	for range 100 {
		switch n, err := b.ReadCloser.Read(one[:]); {
		case n > 0:
			return errLonger
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}
