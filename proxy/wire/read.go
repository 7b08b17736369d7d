package wire

import (
	"bytes"
	"io"
	"net"
	"slices"
	"time"
)

// enough is the minimum size of net/http's buffer that Read fills directly. net/http uses a smaller
// one to peek for HTTP/2.
const enough = 1 << 10

// noticed is the number of bytes that net/http waits for before it treats them as another request.
const noticed = 4

// inbox holds received bytes that are not handled yet: b[:n].
type inbox struct {
	b   []byte
	n   int
	own bool // true if b is not net/http's buffer
}

// grow makes room for more bytes, up to most.
func (in *inbox) grow(most int) bool {
	if len(in.b) >= most {
		return false
	}
	b := make([]byte, min(4*len(in.b), most))
	copy(b, in.b[:in.n])
	in.b, in.own = b, true
	return true
}

// drop removes the first k bytes.
func (in *inbox) drop(k int) {
	if k > 0 {
		in.n = copy(in.b, in.b[k:in.n])
	}
}

// answerRequests answers requests until one arrives that net/http must handle, and puts its beginning
// into p.
func (c *Conn) answerRequests(p []byte) (int, error) {
	in := c.open(p)
	for {
		if in.n == 0 || c.headBegun() {
			if err := c.fill(&in); err == io.EOF && (in.n >= noticed || in.n > 0 && c.fresh()) {
				return c.give(p, &in, 0, opaque, extent{}) // net/http responds to an incomplete head
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
				return c.give(p, &in, 0, opaque, extent{}) // net/http responds to a head that is too large
			}
		case refused:
			return 0, c.hangUp()
		default:
			return c.give(p, &in, used, cl, size)
		}
	}
}

// headBegun reports whether the inbox holds an incomplete head that was searched before. It checks
// phase for that, because kept bytes are searched while the connection is parked.
func (c *Conn) headBegun() bool { return c.phase.Load() != phaseParked }

// open returns an inbox with the kept bytes and room for more, in p if that is large enough.
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

// oneMore reports whether a connection that must be closed has unread bytes, which its client sent
// before it could know of the end.
func (c *Conn) oneMore() bool { return c.phase.Load() == phaseClosing && unread(c.raw) }

// extent is the end of a request.
type extent struct {
	head    int
	length  int64 // of the body, unless it is chunked
	chunked bool
}

// give passes the request after the first used bytes to net/http; size is its extent. If the
// request is opaque, net/http gets all current and future bytes.
func (c *Conn) give(p []byte, in *inbox, used int, cl class, size extent) (int, error) {
	if !c.handOver() {
		c.shut()
		return 0, net.ErrClosed
	}
	c.given()
	b := in.b[used:in.n]
	n := min(len(b), len(p))
	if c.mode = handedOver; cl != opaque {
		n = c.follow(size, n)
	}
	if rest := b[n:]; len(rest) > 0 {
		if !in.own {
			rest = slices.Clone(rest)
		}
		c.kept = rest
	}
	if c.account(); cl == opaque {
		c.owed.Store(true)
		c.foreign.Store(bytes.HasPrefix(b, h2Begins))
	}
	return copy(p, b[:n]), nil
}

// h2Begins is the beginning of an HTTP/2 connection preface.
var h2Begins = []byte("PRI * HTTP/2.0")

// handOver passes the connection to net/http, even if it must be closed: the received request is
// answered first.
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

// complete continues the search in a head that was incomplete, and reports whether it is complete
// now.
func (c *Conn) complete(b []byte) bool {
	for from := c.scanned; ; {
		i := bytes.IndexByte(b[from:], '\n')
		switch {
		case i < 0:
			c.scanned = from
			return false
		case i == 0, i == 1 && b[from] == '\r':
			return true
		}
		from += i + 1
	}
}

// hangUp ends a connection after a refused request. net/http closes it in a way that lets the
// client read the response first.
func (c *Conn) hangUp() error {
	c.handOver()
	c.mode = finished
	c.owed.Store(true)
	return io.EOF
}
