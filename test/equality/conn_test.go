package equality

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// script is a client's connection that says what it is given, in the pieces it is given, and notes what it is told. When it has said all, whoever
// waits for a request or for more of one learns that the client has ended; who only looks whether the client is still there does not: it is.
type script struct {
	mu     sync.Mutex
	change *sync.Cond
	pieces [][]byte
	said   bytes.Buffer
	timed  bool // there is a read deadline
	past   bool // it is over
	closed chan struct{}
	gone   bool
}

func newScript(pieces ...[]byte) *script {
	s := &script{pieces: pieces, closed: make(chan struct{})}
	s.change = sync.NewCond(&s.mu)
	return s
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.pieces) > 0 && len(s.pieces[0]) == 0 {
			s.pieces = s.pieces[1:]
		}
		switch {
		case s.gone:
			return 0, net.ErrClosed
		case s.past:
			return 0, os.ErrDeadlineExceeded
		case len(s.pieces) > 0:
			n := copy(p, s.pieces[0])
			s.pieces[0] = s.pieces[0][n:]
			return n, nil
		case len(p) > 1 || s.timed:
			return 0, io.EOF
		}
		s.change.Wait() // net/http reads one byte, for as long as it takes, to see whether the client has gone
	}
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return 0, net.ErrClosed
	}
	return s.said.Write(p)
}

func (s *script) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.gone = true
		close(s.closed)
		s.change.Broadcast()
	}
	return nil
}

func (s *script) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timed = !t.IsZero()
	s.past = !t.IsZero() && time.Until(t) <= 0
	s.change.Broadcast()
	return nil
}

func (s *script) SetDeadline(t time.Time) error  { return s.SetReadDeadline(t) }
func (*script) SetWriteDeadline(time.Time) error { return nil }
func (*script) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (*script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711} }

// told is all that the client was told; the connection must have ended.
func (s *script) told() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Bytes()
}

// queue is a listener of scripts.
type queue struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newQueue() *queue { return &queue{conns: make(chan net.Conn), done: make(chan struct{})} }

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

func (*queue) Addr() net.Addr { return &net.TCPAddr{} }
