package wire

import (
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/proxy/observe"
)

const (
	// h2Body is the largest body that is answered here. What is larger holds up the other streams of its connection for longer than it saves.
	h2Body = 64 << 10
	// h2Out is how much is gathered before it is written.
	h2Out = 48 << 10
	// h2Text is how much text of requests there is room for.
	h2Text = 8 << 10
)

// h2Scratch is what decoding and answering take. It is lent to a connection while a header block is under way or answers are to be written.
type h2Scratch struct {
	fields  []hpack.HeaderField
	request Request
	answer  Answer
	hits    [row]observe.Hit
	count   int // of hits that are to be written
	start   time.Time
	now     time.Time
	text    []byte // of requests, which hits show
	head    []byte // of one answer, as HTTP/1.1 has it
	out     []byte
}

var h2Scratches = sync.Pool{New: func() any {
	return &h2Scratch{fields: make([]hpack.HeaderField, 0, 32), text: make([]byte, 0, h2Text), head: make([]byte, 0, 2<<10), out: make([]byte, 0, outBytes)}
}}

// forget drops the fields of a block that has been dealt with.
func (s *h2Scratch) forget() {
	clear(s.fields)
	s.fields = s.fields[:0]
}

// answer answers the request that has come, if that is to be done here; else it may set handed.
func (c *h2Conn) answer(handed *Handed) bool {
	s, b := c.scratch, &c.block
	if c.aside || !c.settled || b.beyond || b.flags&http2.FlagHeadersEndStream == 0 || b.flags&http2.FlagHeadersPriority != 0 && number(b.priority[:]) == b.stream {
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
	if !ok || !c.put(s) {
		return false
	}
	s.count++
	return true
}

// understand makes s.request of what has come, and notes in the hit what is known by then. It reports false for what is not of the strict subset.
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
	// From here on it says how it came.
	at := len(r.Method) + 1 + len(r.Target) + 1
	copy(head[at:], "HTTP/2.0")
	s.text = text
	r.from(&c.peer, &s.hits[s.count], s.now)
	return true
}

// put puts the answer into what is to be written. It reports false if there is no room for it in the client's windows, or if it can't be told in HTTP/2.
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

// body puts content behind a head.
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

// full reports whether what there is should be written before there is more.
func (s *h2Scratch) full() bool { return s != nil && (s.count == row || len(s.out) >= h2Out) }

// flush writes the answers that are ready, tells of them, and gives the scratch back if no block is under way.
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

// underWay reports whether some of a block is yet to come.
func (b *h2Block) underWay() bool { return b.open || b.left > 0 }

func (c *h2Conn) send(s *h2Scratch) error {
	err := c.take(true)
	if err == nil {
		if err = c.written.bound(c.Conn, s.start, c.server.Write); err == nil {
			_, err = c.Conn.Write(s.out)
		}
		c.give()
	}
	c.active = c.server.tell(s.hits[:s.count], s.start)
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
