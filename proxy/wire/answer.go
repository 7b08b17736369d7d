package wire

import (
	"net"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

const (
	// maxPipelined is the maximum number of responses in one write.
	maxPipelined = 16
	// outBytes is the buffer for heads and small bodies.
	outBytes = 12 << 10
	// copyMost is the size of the largest body that is copied behind its head. A larger body is
	// written directly from the store.
	copyMost = 4 << 10
)

// scratch holds the buffers for answering requests. A connection borrows one while it has requests
// to answer.
type scratch struct {
	request Request
	answer  Answer
	hits    [maxPipelined]observe.Hit
	count   int // of hits to write
	out     []byte
	begin   int         // start of the bytes in out that are not in parts
	parts   net.Buffers // written before out[begin:]
	store   net.Buffers // backing array of parts
	vector  vector
}

var scratches = sync.Pool{New: func() any {
	return &scratch{out: make([]byte, 0, outBytes), store: make(net.Buffers, 0, 8)}
}}

// work answers the requests in b as far as possible. It returns the number of bytes consumed and
// the class of the rest: partial if the rest is empty or incomplete, or the class and size of the
// request that net/http must handle. A refused request is answered too.
func (c *Conn) work(b []byte) (used int, cl class, size extent, err error) {
	if c.scanned > 0 {
		if !c.complete(b) {
			return 0, partial, size, nil
		}
		c.scanned = 0
	}
	s := scratches.Get().(*scratch)
	defer c.leave(s)
	start, now := c.server.clocks()
	for {
		if used += blank(b[used:]); used == len(b) {
			cl = partial
			break
		}
		if cl = s.request.parse(b[used:]); cl == partial {
			c.scanned = lastLine(b[used:])
			break
		}
		if cl == plain {
			cl = c.answer(s, now)
		}
		if cl != plain {
			break
		}
		used += s.request.size
		if s.count == maxPipelined {
			if err = c.flush(s, start); err != nil {
				return used, cl, size, err
			}
			start, now = c.server.clocks()
		}
	}
	size = extent{}
	if cl == framed {
		size = extent{head: s.request.size, length: s.request.length, chunked: s.request.chunked}
	}
	if err = c.flush(s, start); err == nil && cl == refused {
		_, err = c.raw.Write(s.request.fault.refusal())
	}
	return used, cl, size, err
}

// leave returns s to the pool. If answering panics, net/http closes the connection, and must be
// able to do so.
func (c *Conn) leave(s *scratch) {
	if p := recover(); p != nil {
		c.handOver()
		panic(p)
	}
	s.reset()
	s.request.Peer, s.answer.Body = nil, nil
	scratches.Put(s)
}

// answer asks Hot to answer s.request. The result is plain if it does, and framed otherwise.
func (c *Conn) answer(s *scratch, now time.Time) class {
	if c.server.Hot == nil || c.server.stopping.Load() {
		return framed
	}
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

// from records the peer of r, and in h the properties of r that are known before it is answered.
func (r *Request) from(peer *Peer, h *observe.Hit, now time.Time) {
	r.Peer = peer
	*h = observe.Hit{Method: r.Method, ClientIP: peer.Addr, Shard: peer.Shard, Head: r.Head, BytesIn: int64(r.size), Start: now}
}

// reportHits reports the responses written since start to Hot, and returns the time at which they were
// written.
func (s *Server) reportHits(hits []observe.Hit, start time.Time) (done time.Time) {
	done = time.Now()
	for i := range hits {
		hits[i].Took = done.Sub(start)
		s.Hot.Sent(&hits[i])
	}
	return done
}

// body appends a body after the last head.
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

// cut turns the pending bytes of out into a part of their own.
func (s *scratch) cut() {
	if s.parts == nil {
		s.parts = s.store[:0]
	}
	if len(s.out) > s.begin {
		s.parts = append(s.parts, s.out[s.begin:])
		s.begin = len(s.out)
	}
}

// flush writes the finished responses and reports them to Hot.
func (c *Conn) flush(s *scratch, start time.Time) error {
	if s.count == 0 {
		return nil
	}
	if err := c.written.bound(c.raw, start, c.server.Write); err != nil {
		return err
	}
	err := c.write(s)
	done := c.server.reportHits(s.hits[:s.count], start)
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

// lastLine returns the start of the last, incomplete line of b.
func lastLine(b []byte) int {
	for i := len(b); i > 0; i-- {
		if b[i-1] == '\n' {
			return i
		}
	}
	return 0
}

// clocks reads the clock of connections and that of responses, which differ only in tests.
func (s *Server) clocks() (start, now time.Time) {
	start = time.Now()
	if s.Now == nil {
		return start, start
	}
	return start, s.Now()
}
