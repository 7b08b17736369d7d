package h1

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
	"github.com/penstock/penstock/proxy/upstream/link"
)

var errClosedBody = errors.New("the body of the response was closed")

// responseBody is the body of a response. If the body breaks off, Read never returns a clean
// io.EOF.
type responseBody struct {
	Body
	attempt *attempt
	mu      sync.Mutex // held by Read, which a Close may meet
	err     error      // Read's final error
}

// Read reads from the body. At the end of the body it frees the connection for the next attempt
// before it returns the last bytes.
func (b *responseBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	place := b.attempt.slot
	place.Takes.Store(0)
	n, err := b.Body.Read(p)
	if err != nil {
		b.end(err)
	} else {
		place.Takes.Store(time.Now().UnixNano())
	}
	return n, b.err
}

func (b *responseBody) end(err error) {
	b.err = err
	hop.CleanTrailer(b.attempt.resp.Trailer)
	if err != io.EOF {
		b.err = b.attempt.fail(err, fault.Receiving)
	}
	b.attempt.finish(err == io.EOF)
	b.attempt.reader.Release()
}

// Close discards the rest of the body and closes the connection. If a Read is under way, it fails.
func (b *responseBody) Close() error {
	b.attempt.finish(false)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = errClosedBody
	}
	b.attempt.reader.Release()
	return nil
}

// tunnel is the body of a 101: the connection itself, which from now on belongs to the caller.
type tunnel struct {
	*link.Conn
	rest []byte // was read along with the response
	once sync.Once
	end  func()
}

var _ io.ReadWriteCloser = (*tunnel)(nil)

// Read reads from the target.
func (t *tunnel) Read(p []byte) (int, error) {
	if len(t.rest) > 0 {
		n := copy(p, t.rest)
		t.rest = t.rest[n:]
		return n, nil
	}
	return t.Conn.Conn.Read(p)
}

// Close closes the connection.
func (t *tunnel) Close() error {
	err := t.Conn.Close()
	t.once.Do(t.end)
	return err
}
