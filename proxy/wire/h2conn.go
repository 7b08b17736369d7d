package wire

import (
	"fmt"
	"net"
	"runtime/debug"
	"time"

	"golang.org/x/net/http2/hpack"
)

const (
	// h2Inbox is what is read at once. It is all that a connection holds while it waits.
	h2Inbox = 2 << 10
	// h2Table is the size of the table by which clients may abbreviate fields. It is what net/http, which tells clients of it, has for a default.
	h2Table = 4 << 10
)

// h2Conn is a client's connection between that client and net/http. Frames go through it in both directions.
//
// Towards net/http all go as they are, but for these: a header block is decoded here, since its meaning depends on all those before it, and goes on in a form that
// depends on none; so net/http never learns of those that are answered here. Of the connection's window net/http gets a part.
//
// Towards the client all go as they are, and answers between them; but GOAWAY names the last stream that was answered here, if net/http knows of none later.
//
// Read is called by one goroutine, Write by another at a time, and Close by any.
type h2Conn struct {
	net.Conn // what is read from, written to and closed
	server   *H2
	peer     Peer

	in      [h2Inbox]byte
	from    int // in[from:to] has come and is not dealt with
	to      int
	skip    int    // so many bytes that come are nobody's
	passing int    // so many are net/http's
	ahead   []byte // what net/http gets before that
	small   [frameHead + goAwaySize]byte
	block   h2Block
	decoder *hpack.Decoder
	scratch *h2Scratch // while a block is decoded, or answers are not yet written

	settled bool   // the client's SETTINGS have come
	aside   bool   // nothing is answered here any more
	ended   bool   // net/http gets nothing more
	seen    uint32 // the last stream that was opened
	given   uint32 // the last that net/http has got

	outbound
	h2Timing
}

func (s *H2) newConn(nc net.Conn) *h2Conn {
	c := &h2Conn{Conn: nc, server: s, peer: s.peerOf(nc)}
	c.decoder = hpack.NewDecoder(h2Table, c.field)
	c.decoder.SetMaxStringLength(s.listBytes)
	c.outbound.init()
	c.active = time.Now()
	return c
}

func (c *h2Conn) h2() *h2Conn { return c }

// Read gives net/http what is for it.
func (c *h2Conn) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil { // an answer that panics takes its connection with it, and no other
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

// advance deals with what has come, and waits for more, until there is something for net/http.
func (c *h2Conn) advance() error {
	for len(c.ahead) == 0 && c.passing == 0 && !c.ended {
		if !c.scratch.full() && c.step() {
			continue
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

// pass gives net/http bytes of a frame as they come.
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

// drain drops what comes until there is no more, or net/http, which has been told enough, has said so and closes.
func (c *h2Conn) drain() error {
	for {
		if _, err := c.Conn.Read(c.in[:]); err != nil {
			if err = c.overdue(err); err != nil {
				return err
			}
		}
	}
}

// fill waits for more bytes, or until net/http is to be told something.
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
			c.aside = true
			c.ahead = appendGoAway(c.small[:0]) // as if the client had said that it goes: net/http takes leave, and closes
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
