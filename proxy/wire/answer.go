package wire

import (
	"net"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

const (
	// row is how many answers are written at once at most.
	row = 16
	// outBytes is the room for heads and small bodies.
	outBytes = 12 << 10
	// copyMost is the largest body that is copied behind its head. A larger one goes out from where it is stored.
	copyMost = 4 << 10
)

// scratch is what answering takes. It is lent to a connection while there is something to answer.
type scratch struct {
	request Request
	answer  Answer
	hits    [row]observe.Hit
	count   int // of hits that are to be written
	out     []byte
	begin   int         // of what of out is not in parts
	parts   net.Buffers // what is to be written before out[begin:]
	store   net.Buffers // the memory of parts
	vector  vector
}

var scratches = sync.Pool{New: func() any {
	return &scratch{out: make([]byte, 0, outBytes), store: make(net.Buffers, 0, 8)}
}}

// work answers the requests in b as far as they are to be answered here. It returns how many bytes they had and what is behind them: partial, also when
// there is nothing, or what net/http is to get, with its size.
func (c *Conn) work(b []byte) (used int, cl class, size int64, err error) {
	if c.scanned > 0 {
		if cl = c.complete(b); cl != plain {
			return 0, cl, 0, nil
		}
		c.scanned = 0
	}
	s := scratches.Get().(*scratch)
	defer c.leave(s)
	start, now := c.server.clocks()
	for used < len(b) {
		if cl = s.request.parse(b[used:]); cl == partial {
			c.scanned = lastLine(b[used:])
			break
		}
		if cl = c.classify(&s.request, cl); cl == plain {
			cl = c.answer(s, now)
		}
		if cl != plain {
			break
		}
		used += s.request.size
		if s.count == row {
			if err = c.flush(s, start); err != nil {
				return used, cl, 0, err
			}
			start, now = c.server.clocks()
		}
	}
	size = int64(s.request.size) + s.request.length
	if err = c.flush(s, start); err == nil && cl == refused {
		err = c.refuse(s)
	}
	if cl == plain {
		cl = partial
	}
	return used, cl, size, err
}

// leave gives s back. An answer that panics has its connection closed by net/http, which must be able to.
func (c *Conn) leave(s *scratch) {
	if p := recover(); p != nil {
		c.handOver()
		panic(p)
	}
	s.reset()
	s.request.Peer, s.answer.Body = nil, nil
	scratches.Put(s)
}

// classify looks at what makes a request of the strict subset another's after all.
func (c *Conn) classify(r *Request, cl class) class {
	switch {
	case cl == plain && c.server.stopping.Load():
		return framed
	case cl == framed || cl == opaque && r.size > 0:
		if authority, ok := r.authority(); ok && r.seen&seenHost != 0 && authority != r.Host && !c.server.Hot.SameHost(authority, r.Host, &c.peer) {
			r.fault = "the target and Host name different hosts"
			return refused // RFC 9112 §3.2.2 lets the target win; not everybody does
		}
	}
	return cl
}

// answer asks for the answer to s.request: plain, if there is one, else framed.
func (c *Conn) answer(s *scratch, now time.Time) class {
	r, a, h := &s.request, &s.answer, &s.hits[s.count]
	r.from(&c.peer, h, now)
	*a = Answer{Now: now, Head: s.out, Hit: h}
	if !c.server.Hot.Answer(r, a) {
		c.handed = a.Handed
		return framed
	}
	s.out = a.Head
	for _, part := range a.Body {
		h.BytesOut += int64(len(part))
	}
	s.body(a.Body, h.BytesOut)
	s.count++
	return plain
}

// from notes whose request r is, and in h what is known of it before it is answered.
func (r *Request) from(peer *Peer, h *observe.Hit, now time.Time) {
	r.Peer = peer
	*h = observe.Hit{Method: r.Method, ClientIP: peer.Addr, Shard: peer.Shard, Head: r.Head, BytesIn: int64(r.size), Start: now}
}

// tell tells of answers that have been written since start, and says when that was done.
func (s *Server) tell(hits []observe.Hit, start time.Time) (done time.Time) {
	done = time.Now()
	for i := range hits {
		hits[i].Took = done.Sub(start)
		s.Hot.Sent(&hits[i])
	}
	return done
}

// body puts a body behind the head that was written last.
func (s *scratch) body(segments [][]byte, size int64) {
	if size <= copyMost {
		for _, part := range segments {
			s.out = append(s.out, part...)
		}
		return
	}
	s.cut()
	s.parts = append(s.parts, segments...)
}

// cut makes what is in out a part of its own.
func (s *scratch) cut() {
	if s.parts == nil {
		s.parts = s.store[:0]
	}
	if len(s.out) > s.begin {
		s.parts = append(s.parts, s.out[s.begin:])
		s.begin = len(s.out)
	}
}

// flush writes the answers that are ready, and tells of them.
func (c *Conn) flush(s *scratch, start time.Time) error {
	if s.count == 0 {
		return nil
	}
	if err := c.written.bound(c.raw, start, c.server.Write); err != nil {
		return err
	}
	err := c.write(s)
	done := c.server.tell(s.hits[:s.count], start)
	s.reset()
	c.answered(done)
	return err
}

func (c *Conn) write(s *scratch) error {
	if s.parts == nil {
		_, err := c.raw.Write(s.out)
		return err
	}
	s.cut()
	if cap(s.parts) > cap(s.store) {
		s.store = s.parts
	}
	return s.vector.writeParts(c.raw, &s.parts)
}

func (s *scratch) reset() {
	if s.parts != nil {
		clear(s.store[:cap(s.store)])
	}
	s.count, s.begin, s.out, s.parts = 0, 0, s.out[:0], nil
	if cap(s.out) > 4*outBytes {
		s.out = make([]byte, 0, outBytes)
	}
}

// refuse answers with 400 as net/http would.
func (c *Conn) refuse(s *scratch) error {
	text := "400 Bad Request: " + s.request.fault
	_, err := c.raw.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" + text))
	return err
}

// lastLine is where the last line of b begins, which is incomplete.
func lastLine(b []byte) int {
	for i := len(b); i > 0; i-- {
		if b[i-1] == '\n' {
			return i
		}
	}
	return 0
}

// clocks reads the clock of connections and that of answers, which are the same but in tests.
func (s *Server) clocks() (start, now time.Time) {
	start = time.Now()
	if s.Now == nil {
		return start, start
	}
	return start, s.Now()
}
