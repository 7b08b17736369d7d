package wire

import (
	"bytes"
	"io"
	"net"
	"slices"
	"time"
)

// enough is how large net/http's buffer must be to be read into. It peeks with a smaller one, where it looks for HTTP/2.
const enough = 1 << 10

// noticed is how many bytes net/http waits for before it takes what comes for another request.
const noticed = 4

// inbox is what has come and is not dealt with: b[:n].
type inbox struct {
	b   []byte
	n   int
	own bool // b is not net/http's buffer
}

// grow makes room for more, up to most.
func (in *inbox) grow(most int) bool {
	if len(in.b) >= most {
		return false
	}
	b := make([]byte, min(4*len(in.b), most))
	copy(b, in.b[:in.n])
	in.b, in.own = b, true
	return true
}

// drop forgets the first k bytes.
func (in *inbox) drop(k int) {
	if k > 0 {
		in.n = copy(in.b, in.b[k:in.n])
	}
}

// converse answers requests until one comes that is net/http's, of which it puts the beginning into p.
func (c *Conn) converse(p []byte) (int, error) {
	in := c.open(p)
	for {
		if in.n == 0 || c.headBegun() {
			if err := c.fill(&in); err == io.EOF && (in.n >= noticed || in.n > 0 && c.fresh()) {
				return c.give(p, &in, 0, opaque, 0) // net/http says what it thinks of half a head
			} else if err != nil {
				return 0, err
			}
		} else if !c.phase.CompareAndSwap(phaseParked, phaseAnswering) {
			return 0, net.ErrClosed
		}
		used, cl, size, err := c.work(in.b[:in.n])
		if err != nil {
			c.shut()
			return 0, err
		}
		if cl == opaque && in.n-used < noticed && !c.fresh() {
			cl = partial
		}
		switch cl {
		case partial:
			in.drop(used)
			if in.n == len(in.b) && !in.grow(c.server.maxHead) {
				return c.give(p, &in, 0, opaque, 0) // too large a head: net/http says so
			}
		case refused:
			return 0, c.hangUp()
		default:
			return c.give(p, &in, used, cl, size)
		}
	}
}

// headBegun reports whether the inbox was looked at before and holds no whole head. It asks phase for it: what is kept from before is looked at
// while the connection is parked.
func (c *Conn) headBegun() bool { return c.phase.Load() != phaseParked }

// open has what was kept, and room for more: in p if it is large enough.
func (c *Conn) open(p []byte) inbox {
	if c.opened.IsZero() && !c.later && len(p) >= enough {
		c.opened = time.Now()
	}
	in := inbox{b: p}
	if need := max(len(c.kept)+1, enough); len(p) < need {
		in = inbox{b: make([]byte, max(need, 4<<10)), own: true}
	}
	in.n = copy(in.b, c.kept)
	c.kept = nil
	return in
}

// fill waits for more bytes.
func (c *Conn) fill(in *inbox) error {
	if !c.phase.CompareAndSwap(phaseAnswering, phaseParked) && c.phase.Load() != phaseParked && !c.oneMore() {
		c.shut()
		return net.ErrClosed
	}
	if err := c.expect(in.n > 0); err != nil {
		return err
	}
	for {
		n, err := c.raw.Read(in.b[in.n:])
		if n > 0 {
			in.n += n
			break
		}
		if err = c.overdue(err); err != nil {
			return err
		}
	}
	if !c.phase.CompareAndSwap(phaseParked, phaseAnswering) && c.phase.Load() != phaseClosing {
		return net.ErrClosed
	}
	return nil
}

// oneMore reports whether a connection that is to be closed has more to read, which its client sent when it could not know of that.
func (c *Conn) oneMore() bool { return c.phase.Load() == phaseClosing && unread(c.raw) }

// give hands the request behind the first used bytes to net/http, which is size bytes long, or all there is and ever will be, if it is opaque.
func (c *Conn) give(p []byte, in *inbox, used int, cl class, size int64) (int, error) {
	if !c.handOver() {
		c.shut()
		return 0, net.ErrClosed
	}
	c.given()
	b := in.b[used:in.n]
	n := min(len(b), len(p))
	if c.mode = aside; cl != opaque {
		c.mode = inFlight
		n = int(min(int64(n), size))
		c.left = size - int64(n)
	}
	if rest := b[n:]; len(rest) > 0 {
		if !in.own {
			rest = slices.Clone(rest)
		}
		c.kept = rest
	}
	return copy(p, b[:n]), nil
}

// handOver gives net/http the word, even if the connection is to be closed: not before the request that has come is answered.
func (c *Conn) handOver() bool {
	for {
		phase := c.phase.Load()
		if phase == phaseClosed {
			return false
		}
		if c.phase.CompareAndSwap(phase, phaseTaken) {
			c.last = phase == phaseClosing
			return true
		}
	}
}

// complete looks through what has come since a head was found incomplete: plain, if it now is complete.
func (c *Conn) complete(b []byte) class {
	for from := c.scanned; ; {
		i := bytes.IndexByte(b[from:], '\n')
		switch {
		case i < 0:
			c.scanned = from
			return partial
		case i == 0 || b[from+i-1] != '\r':
			return opaque
		case i == 1:
			return plain
		}
		from += i + 1
	}
}

// hangUp ends a connection on which a request was refused, so that the client has the answer before it learns of the end.
func (c *Conn) hangUp() error {
	if half, ok := c.raw.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	c.handOver()
	c.mode = aside
	return io.EOF
}
