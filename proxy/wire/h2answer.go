package wire

import (
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/proxy/observe"
)

const (
	// h2Body is the size of the largest body that is answered here. A larger one would delay the
	// other streams of the connection for longer than it saves.
	h2Body = 64 << 10
	// h2Out is the number of bytes that are gathered before a write.
	h2Out = 48 << 10
	// h2Text is the buffer for the text of requests.
	h2Text = 8 << 10
)

// h2Scratch holds the buffers for decoding and answering. A connection borrows one while it
// receives a header block or has responses to write.
type h2Scratch struct {
	fields  []hpack.HeaderField
	request Request
	answer  Answer
	hits    [maxPipelined]observe.Hit
	count   int // of hits to write
	start   time.Time
	now     time.Time
	text    []byte // of requests, referred to by hits
	head    []byte // of one response, in the form of HTTP/1.1
	out     []byte
}

var h2Scratches = sync.Pool{New: func() any {
	return &h2Scratch{fields: make([]hpack.HeaderField, 0, 32), text: make([]byte, 0, h2Text), head: make([]byte, 0, 2<<10), out: make([]byte, 0, outBytes)}
}}

// forget drops the fields of a finished block.
func (s *h2Scratch) forget() {
	clear(s.fields)
	s.fields = s.fields[:0]
}

// answer answers the received request and reports whether it did. If not, it may set handed.
func (c *h2Conn) answer(handed *Handed) bool {
	s, b := c.scratch, &c.block
	if c.handedOver || !c.settled || b.beyond || b.flags&http2.FlagHeadersEndStream == 0 || b.flags&http2.FlagHeadersPriority != 0 && number(b.priority[:]) == b.stream {
		return false
	}
	if s.count == 0 {
		s.start, s.now = c.server.clocks()
	}
	if !c.understand(s) {
		return false
	}
	a := &s.answer
	*a = Answer{Now: s.now, Head: s.head[:0], Hit: &s.hits[s.count]}
	ok := c.server.Hot.Answer(&s.request, a)
	*handed, s.head = a.Handed, a.Head
	if !ok {
		return false
	}
	if !c.put(s) {
		handed.Answered = true
		return false
	}
	s.count++
	return true
}

// understand fills s.request from the received block, and the hit with its known properties. It
// reports false if the request is outside the strict subset.
func (c *h2Conn) understand(s *h2Scratch) bool {
	scheme := "http"
	if c.peer.TLS {
		scheme = "https"
	}
	begin := len(s.text)
	text, ok := appendRequest(s.text, s.fields, scheme)
	if s.text = text[:begin]; !ok {
		return false
	}
	r, head := &s.request, text[begin:]
	if r.parse(head) != plain || r.size != len(head) {
		return false
	}
	// From here on Proto is that of the client.
	at := len(r.Method) + 1 + len(r.Target) + 1
	copy(head[at:], "HTTP/2.0")
	s.text = text
	r.from(&c.peer, &s.hits[s.count], s.now)
	return true
}

// put appends the response to the output. It reports false if the response does not fit into the
// client's windows or has no HTTP/2 form.
func (c *h2Conn) put(s *h2Scratch) bool {
	size, h := int64(0), &s.hits[s.count]
	for _, part := range s.answer.Body {
		size += int64(len(part))
	}
	begin := len(s.out)
	out, ok := appendAnswer(s.out, s.answer.Head, c.block.stream, size == 0)
	if s.out = out[:begin]; !ok || size > h2Body || !c.reserve(c.block.stream, size) {
		return false
	}
	s.out = out
	s.body(c.block.stream, size)
	h.BytesOut = size
	return true
}

// body appends content after a head.
func (s *h2Scratch) body(stream uint32, size int64) {
	parts, at := s.answer.Body, 0
	for size > 0 {
		n := min(size, frameMost)
		f := frame{length: int(n), kind: http2.FrameData, stream: stream}
		if size -= n; size == 0 {
			f.flags = http2.FlagDataEndStream
		}
		s.out = f.append(s.out)
		for n > 0 {
			piece := parts[0][at:]
			if int64(len(piece)) > n {
				piece = piece[:n]
			}
			s.out = append(s.out, piece...)
			n -= int64(len(piece))
			if at += len(piece); at == len(parts[0]) {
				parts, at = parts[1:], 0
			}
		}
	}
}

// full reports whether the gathered output should be written now.
func (s *h2Scratch) full() bool { return s != nil && (s.count == maxPipelined || len(s.out) >= h2Out) }

// flush writes the finished responses, reports them to Hot, and returns the scratch if no block is
// being received.
func (c *h2Conn) flush() error {
	s := c.scratch
	if s == nil {
		return nil
	}
	var err error
	if s.count > 0 {
		err = c.send(s)
	}
	s.reset()
	if !c.block.underWay() {
		c.scratch = nil
		s.forget()
		h2Scratches.Put(s)
	}
	return err
}

// underWay reports whether the block is incomplete.
func (b *h2Block) underWay() bool { return b.open || b.left > 0 }

func (c *h2Conn) send(s *h2Scratch) error {
	err := c.take(true)
	if err == nil {
		if err = c.written.bound(c.Conn, s.start, c.server.Write); err == nil {
			_, err = c.Conn.Write(s.out)
		}
		c.give()
	}
	c.active = c.server.reportHits(s.hits[:s.count], s.start)
	c.answeredAt.Store(c.active.UnixNano())
	return err
}

func (s *h2Scratch) reset() {
	s.answer, s.request.Peer = Answer{}, nil
	s.count, s.text, s.out = 0, s.text[:0], s.out[:0]
	if cap(s.text) > 4*h2Text {
		s.text = make([]byte, 0, h2Text)
	}
	if cap(s.out) > 2*h2Out {
		s.out = make([]byte, 0, outBytes)
	}
}
