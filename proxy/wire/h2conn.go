package wire

import (
	"encoding/binary"
	"fmt"
	"net"
	"runtime/debug"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// h2Inbox is the size of a read. It is all the memory that an idle connection holds.
	h2Inbox = 2 << 10
	// h2Table is the size of the table with which clients compress fields. It is net/http's
	// default, and net/http announces it to clients.
	h2Table = 4 << 10
)

// h2Conn sits between a client and net/http. Frames pass through it in both directions.
//
// Frames to net/http pass unchanged, except for header blocks. These are decoded here, because a
// block depends on all earlier ones, and encoded again in a form that is independent of them. So net/http
// never sees the blocks of requests that are answered here. net/http gets a part of the
// connection's window.
//
// Frames to the client also pass unchanged, with responses from here between them. A GOAWAY from
// net/http is changed to name the last stream that was answered here, if that is later than
// net/http's.
//
// One goroutine may call Read while another calls Write. Close may be called concurrently.
type h2Conn struct {
	net.Conn // the connection to the client
	server   *H2
	peer     Peer

	in      [h2Inbox]byte
	from    int // in[from:to] holds received bytes that are not processed
	to      int
	skip    int    // number of received bytes to discard
	passing int    // number of received bytes to pass to net/http
	ahead   []byte // bytes for net/http before these
	small   [frameHead + goAwaySize]byte
	block   h2Block
	decoder *hpack.Decoder
	scratch *h2Scratch // borrowed while a block is decoded or responses are not written yet
	handing handing

	settled    bool   // true if the client's SETTINGS have arrived
	handedOver bool   // true if no request is answered here any more
	ended      bool   // true if net/http gets no more bytes
	flooded    bool   // true if the client has exceeded its allowance
	seen       uint32 // the last stream opened by the client
	given      uint32 // the last stream passed to net/http

	outbound
	h2Timing
	allowance
	evicting
}

func (s *H2) newConn(nc net.Conn) *h2Conn {
	c := &h2Conn{Conn: nc, server: s, peer: s.peerOf(nc)}
	c.decoder = hpack.NewDecoder(h2Table, c.field)
	c.decoder.SetMaxStringLength(s.listBytes)
	c.outbound.init()
	c.active = time.Now()
	c.answeredAt.Store(c.active.UnixNano())
	return c
}

func (c *h2Conn) h2() *h2Conn { return c }

// Read returns the bytes for net/http.
func (c *h2Conn) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil { // a panic while answering ends this connection and no other
			c.server.logf("http2: panic serving %v: %v\n%s", c.RemoteAddr(), r, debug.Stack())
			c.Close()
			n, err = 0, fmt.Errorf("wire: panic: %v", r)
		}
	}()
	for len(p) > 0 {
		switch {
		case len(c.ahead) > 0:
			n = copy(p, c.ahead)
			if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
				c.ahead = nil
			}
			return n, nil
		case c.passing > 0:
			return c.pass(p)
		case c.ended:
			return 0, c.drain()
		}
		if err := c.advance(); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// advance processes received bytes, and waits for more, until there are bytes for net/http.
func (c *h2Conn) advance() error {
	for len(c.ahead) == 0 && c.passing == 0 && !c.ended {
		if !c.scratch.full() && c.step() {
			continue
		}
		if c.flooded {
			return c.endFlood()
		}
		full := c.scratch.full()
		if err := c.flush(); err != nil {
			return err
		}
		if full {
			continue
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
	return c.flush()
}

// pass copies received bytes of a frame to net/http.
func (c *h2Conn) pass(p []byte) (int, error) {
	p = p[:min(len(p), c.passing)]
	n := copy(p, c.in[c.from:c.to])
	c.from += n
	for n == 0 && len(p) > 0 {
		var err error
		if n, err = c.Conn.Read(p); n == 0 {
			if err = c.overdue(err); err != nil {
				return 0, err
			}
		}
	}
	c.passing -= n
	return n, nil
}

// drain discards received bytes until there are no more, or until net/http has reported the error
// and closes.
func (c *h2Conn) drain() error {
	for {
		if _, err := c.Conn.Read(c.in[:]); err != nil {
			if err = c.overdue(err); err != nil {
				return err
			}
		}
	}
}

// fill waits for more bytes, or until there is a message for net/http.
func (c *h2Conn) fill() error {
	c.to = copy(c.in[:], c.in[c.from:c.to])
	c.from = 0
	for {
		if err := c.expect(); err != nil {
			return err
		}
		if c.wanting.Swap(false) && c.lend() {
			return nil
		}
		n, err := c.Conn.Read(c.in[c.to:])
		if n > 0 {
			c.to += n
			return nil
		}
		if c.idle(err) {
			c.handedOver = true
			// As if the client had sent it, so that net/http says GOAWAY and closes.
			c.ahead = appendGoAway(c.small[:0])
			return nil
		}
		if err = c.overdue(err); err != nil {
			return err
		}
	}
}

// Close closes the connection.
func (c *h2Conn) Close() error {
	c.outbound.close()
	return c.Conn.Close()
}

const (
	// frameHead is the size of a frame's head (RFC 9113 §4.1).
	frameHead = 9
	// frameMost is the largest frame that every peer accepts (RFC 9113 §4.2).
	frameMost = 16 << 10
	// windowMost is the maximum size of a flow-control window (RFC 9113 §6.9.1).
	windowMost = 1<<31 - 1
	// windowInitial is the initial window of a connection, and of a stream unless SETTINGS change
	// it (RFC 9113 §6.9.2).
	windowInitial = 1<<16 - 1

	prioritySize     = 5
	windowUpdateSize = 4
	resetSize        = 4
	goAwaySize       = 8
	settingSize      = 6
)

// frame is the head of a frame.
type frame struct {
	length int
	kind   http2.FrameType
	flags  http2.Flags
	stream uint32
}

// parseFrame decodes the head of a frame. b must contain all of it.
func parseFrame(b []byte) frame {
	return frame{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   http2.FrameType(b[3]),
		flags:  http2.Flags(b[4]),
		stream: number(b[5:]),
	}
}

// number decodes 31 bits and ignores the reserved bit before them.
func number(b []byte) uint32 { return binary.BigEndian.Uint32(b) & windowMost }

// append appends the head of a frame.
func (f frame) append(b []byte) []byte {
	b = append(b, byte(f.length>>16), byte(f.length>>8), byte(f.length), byte(f.kind), byte(f.flags))
	return binary.BigEndian.AppendUint32(b, f.stream)
}

// appendWindowUpdate appends a WINDOW_UPDATE for the connection.
func appendWindowUpdate(b []byte, increment int64) []byte {
	b = frame{length: windowUpdateSize, kind: http2.FrameWindowUpdate}.append(b)
	return binary.BigEndian.AppendUint32(b, uint32(increment))
}

// appendGoAway appends a GOAWAY without an error.
func appendGoAway(b []byte) []byte {
	return append(frame{length: goAwaySize, kind: http2.FrameGoAway}.append(b), make([]byte, goAwaySize)...)
}
