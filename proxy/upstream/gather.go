package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
)

// gatherMost is the largest body that is read whole before its request takes a connection.
const gatherMost = 64 << 10

// converseAfter is how long the first bytes of a body without a size are waited for over HTTP/2:
// its client may wait for the response to begin.
const converseAfter = 2 * time.Second

// gather reads bytes of the body from the client before r may take a slot and a connection. If a
// client does not send its body, it must not keep others from the target. If the body has up to
// gatherMost bytes, gather reads all of it. If it is larger, or does not say its size, gather reads
// the first bytes. It returns r, or a copy of r that has the bytes read.
//
// Some requests go on without. If a client expects 100 (Continue), it sends its body when the
// target asks for it (RFC 9110 §10.1.1). The client of a gRPC call may send only after it has heard
// from the server. The same holds, over HTTP/2, for the client of any body without a size: gather
// waits for it no longer than converseAfter. All of these leave their slot to others while they
// wait, see [send.Slots].
func (p *Pool) gather(r *http.Request) (*http.Request, error) {
	body := hop.BodyOf(r)
	if body == nil || hop.ExpectsContinue(r.Header) || r.ContentLength < 0 && hop.Converses(r.Header) {
		return r, nil
	}
	g := &gathered{ReadCloser: body}
	var err error
	switch {
	case r.ContentLength > 0 && r.ContentLength <= gatherMost:
		err = g.whole(int(r.ContentLength))
	case r.ContentLength < 0 && r.ProtoMajor >= 2:
		err = g.firstSoon(converseAfter)
	default:
		err = g.first()
	}
	if err != nil {
		_ = body.Close() // the error that matters is the one of reading
		return nil, fault.RequestBodyError("", err)
	}
	out := *r
	out.Body = g
	return &out, nil
}

// gathered is a body of which something was read in advance.
type gathered struct {
	io.ReadCloser
	data []byte // was read and not yet handed on
	err  error  // the error that ended the reading; nil: there may be more
	buf  [512]byte
	soon chan error // gets first's result if first goes on in the background; nil: it does not
}

// whole reads a body that announces its size up to its end.
func (g *gathered) whole(size int) error {
	err := g.grow(size)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	}
	var one [1]byte
	n, err := io.ReadFull(g.ReadCloser, one[:])
	if n > 0 {
		return fmt.Errorf("more than the announced %d bytes", size)
	}
	if g.err = err; err != io.EOF {
		return err
	}
	return nil
}

// gatherGrowth is by how much the memory for a body grows at a time.
const gatherGrowth = 4

// grow reads size bytes. It takes memory as they come, and not as they were announced: a client can
// announce bodies that it never sends on any number of streams.
func (g *gathered) grow(size int) error {
	data := g.buf[:min(size, len(g.buf))]
	for n := 0; ; {
		k, err := io.ReadFull(g.ReadCloser, data[n:])
		if err != nil {
			return err
		}
		if n += k; n == size {
			g.data = data
			return nil
		}
		data = append(make([]byte, 0, min(size, gatherGrowth*n)), data...)
		data = data[:cap(data)]
	}
}

// first reads the first bytes.
func (g *gathered) first() error {
	for range 100 {
		n, err := g.ReadCloser.Read(g.buf[:])
		if n > 0 || err == io.EOF {
			g.data, g.err = g.buf[:n], err
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// firstSoon is first, but it leaves the bytes that have not come in time to Read. Its goroutine
// ends with the body's Read, as the client's stream does.
func (g *gathered) firstSoon(patience time.Duration) error {
	g.soon = make(chan error, 1)
	go func() { g.soon <- g.first() }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-g.soon:
		g.soon = nil
		return err
	case <-timer.C:
		return nil
	}
}

// Read returns the gathered bytes, and then reads on.
func (g *gathered) Read(p []byte) (int, error) {
	if g.soon != nil {
		err := <-g.soon
		if g.soon = nil; err != nil {
			g.err = err
		}
	}
	if len(g.data) == 0 {
		if g.err != nil {
			return 0, g.err
		}
		return g.ReadCloser.Read(p)
	}
	n := copy(p, g.data)
	if g.data = g.data[n:]; len(g.data) == 0 {
		return n, g.err
	}
	return n, nil
}
