package wire

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// If a server closes a connection while the client still sends, a client that writes its whole
// request before it reads never sees an early response: the operating system reports a broken
// connection and discards the response. So the server closes its own direction first, and reads on
// for a while (RFC 9112 §9.6).
const (
	lingerSilence = 2 * time.Second  // maximum time without a byte
	lingerTime    = 30 * time.Second // maximum total time
	lingerBytes   = 1 << 30
)

// unfinished describes bytes that net/http has not read.
type unfinished struct {
	owed    atomic.Bool // true if the client may be sending bytes that net/http has not read
	foreign atomic.Bool // true if the connection speaks another protocol, so that it does not linger
}

// account updates owed.
func (c *Conn) account() { c.owed.Store(c.left > 0 || c.chunks.open() || len(c.kept) > 0) }

// linger starts to close the connection later if the client may be sending. It reports false if the
// connection must be closed now.
func (c *Conn) linger() bool {
	switch {
	case c.phase.Load() == phaseLingering:
		return true
	case c.phase.Load() != phaseTaken, c.foreign.Load(), !c.owed.Load() && !unread(c.raw), !c.reading.TryLock():
		return false // for a connection that another goroutine closes while it is read
	}
	if !c.server.leaving.add(c) || !c.phase.CompareAndSwap(phaseTaken, phaseLingering) {
		c.server.leaving.remove(c)
		c.reading.Unlock()
		return false
	}
	c.quiet.Store(time.Now().UnixNano())
	go c.drain()
	return true
}

// drain closes the sending direction, discards the client's bytes, and closes the connection when
// the client has closed it or the time is over. The connection still counts as a client connection,
// but it is the first to be evicted.
func (c *Conn) drain() {
	defer c.server.leaving.remove(c)
	defer c.Conn.Close()
	raw := halfClose(c.raw)
	buf := drained.Get().(*[]byte)
	defer drained.Put(buf)
	end := time.Now().Add(lingerTime)
	for total := 0; total < lingerBytes; {
		due := time.Now().Add(lingerSilence)
		if due.After(end) {
			due = end
		}
		if err := raw.SetReadDeadline(due); err != nil {
			return
		}
		n, err := raw.Read(*buf)
		if total += n; err != nil {
			return
		}
	}
}

// cut ends drain. It closes the underlying connection, since closing TLS could take a while.
func (c *Conn) cut() {
	raw := c.raw
	for {
		below, ok := raw.(interface{ NetConn() net.Conn })
		if !ok {
			raw.Close()
			return
		}
		raw = below.NetConn()
	}
}

var drained = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// halfClose closes the sending direction of nc and of all connections below it. It returns the
// lowest connection.
func halfClose(nc net.Conn) net.Conn {
	for {
		if half, ok := nc.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // if it fails, the client learns of the end a little later
		}
		below, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = below.NetConn()
	}
}

// lingerers holds the lingering connections of a server.
type lingerers struct {
	mu      sync.Mutex
	conns   map[*Conn]struct{}
	over    bool
	running sync.WaitGroup
}

// add adds c. It reports false if lingering has ended.
func (l *lingerers) add(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	if l.conns == nil {
		l.conns = make(map[*Conn]struct{})
	}
	l.conns[c] = struct{}{}
	l.running.Add(1)
	return true
}

func (l *lingerers) remove(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.conns[c]; ok {
		delete(l.conns, c)
		l.running.Done()
	}
}

// EndLingering closes all lingering connections. From now on no connection lingers.
func (s *Server) EndLingering() {
	l := &s.leaving
	l.mu.Lock()
	l.over = true
	for c := range l.conns {
		c.cut()
	}
	l.mu.Unlock()
	l.running.Wait()
}
