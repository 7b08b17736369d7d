package upstream

import (
	"errors"
	"io"
	"sync"

	"github.com/penstock/penstock/proxy/upstream/h1"
)

var errClosedBody = errors.New("the body of the response was closed")

// tripBody is the body of a trip's response. A body that breaks off never ends in a clean io.EOF.
type tripBody struct {
	h1.Body
	trip *trip
	mu   sync.Mutex // held by Read, which a Close may meet
	err  error      // what Read ended with
}

// Read reads from the body. At its end the connection is free for the next trip, before what was read is passed on.
func (b *tripBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.Body.Read(p)
	if err != nil {
		b.end(err)
	}
	return n, b.err
}

func (b *tripBody) end(err error) {
	b.err = err
	if err != io.EOF {
		b.err = b.trip.fail(err, receiving)
	}
	b.trip.finish(err == io.EOF)
	b.trip.reader.Release()
}

// Close gives up what was not read, and the connection with it. A Read that is under way fails.
func (b *tripBody) Close() error {
	b.trip.finish(false)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = errClosedBody
	}
	b.trip.reader.Release()
	return nil
}

// tunnel is the body of a 101: the connection itself, which from now on belongs to the caller.
type tunnel struct {
	*conn
	rest []byte // was read along with the response
	once sync.Once
	end  func()
}

var _ readWriteCloser = (*tunnel)(nil)

// Read reads what the target sends.
func (t *tunnel) Read(p []byte) (int, error) {
	if len(t.rest) > 0 {
		n := copy(p, t.rest)
		t.rest = t.rest[n:]
		return n, nil
	}
	return t.conn.Conn.Read(p)
}

// Close closes the connection.
func (t *tunnel) Close() error {
	err := t.conn.Close()
	t.once.Do(t.end)
	return err
}
