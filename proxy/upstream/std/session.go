package std

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/link"
)

// settingsTime is how long a new HTTP/2 connection waits for the target's SETTINGS, which must be
// the first frame of a server (RFC 9113 §3.4). If they do not arrive, the connection is used
// without them.
const settingsTime = time.Second

// errStillborn says that a new connection was closed before the target's SETTINGS came. No request
// was sent over it.
var errStillborn = errors.New("the connection ended before it could be used: client conn could not be established")

// sessions holds the HTTP/2 connections to one target. There are three reasons against net/http's
// own pool. It fills a connection with as many streams as the target allows. If some of their
// clients do not read, their streams hold the flow control window that all streams of the
// connection share. It opens a connection for each request that finds no room. And it waits for
// seconds before it repeats a request that the target has refused.
//
// A connection carries at most StreamsPerConn streams. With streamBuffer for each they cannot use
// up its window. If a request finds no room, it waits in a queue, and one connection is opened for
// each StreamsPerConn waiting requests. The slots of the target bound the number of both.
type sessions struct {
	sender *Sender
	begin  func(context.Context, net.Conn) (*http.ClientConn, error) // begins HTTP/2 on a connection
	resize func(h2 bool)                                             // is told that the target has changed its protocol
	http1  atomic.Bool                                               // the target chose HTTP/1.1 when it was last asked

	mu     sync.Mutex
	open   []*session
	dials  []*dial
	queue  []*waiter // the first to come first
	closed bool
}

// session is one HTTP/2 connection.
type session struct {
	of   *sessions
	cc   *http.ClientConn
	used int  // streams that were granted and have not ended; guarded by sessions.mu
	full bool // the target takes no more streams at the moment; guarded by sessions.mu
}

// dial is a connection that is being opened.
type dial struct{ stop context.CancelFunc }

// waiter is a request that waits for a session.
type waiter struct {
	wake   chan struct{} // there may be room, or the wait is over
	failed error         // why no session will come; guarded by sessions.mu
}

// choseHTTP1 is the error of a request whose target chose HTTP/1.1. It may bring the connection
// along.
type choseHTTP1 struct{ conn net.Conn }

func (*choseHTTP1) Error() string { return "the target chose HTTP/1.1" }

// take gives a session with room for a stream, other than avoid if another one is open or can be
// opened. It has to be given back.
func (s *sessions) take(ctx context.Context, avoid *session) (*session, error) {
	var a *waiter
	for {
		c, err := s.pick(&a, avoid)
		switch {
		case err != nil:
			return nil, err
		case c == nil:
			select {
			case <-a.wake:
			case <-ctx.Done():
				s.quit(a)
				return nil, context.Cause(ctx)
			}
		case c.reserve():
			s.served(a)
			return c, nil
		}
	}
}

// pick returns a session that seems to have room, and counts a stream on it. If there is no room,
// it queues the request.
func (s *sessions) pick(a **waiter, avoid *session) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *a != nil && (*a).failed != nil {
		return nil, (*a).failed
	}
	first := len(s.queue) == 0 || s.queue[0] == *a
	if first {
		if c := s.room(avoid); c != nil {
			c.used++
			return c, nil
		}
	}
	if *a == nil {
		*a = &waiter{wake: make(chan struct{}, 1)}
		s.queue = append(s.queue, *a)
	}
	if s.dial(); first && len(s.dials) == 0 {
		s.dial1() // it avoids the session that has room
	}
	return nil, nil
}

// room looks for a session with room. It returns avoid only if another session is open and has no
// room. The lock is held.
func (s *sessions) room(avoid *session) *session {
	var last *session
	for _, c := range s.open {
		switch {
		case c.full || c.used >= StreamsPerConn:
		case c == avoid:
			last = c
		default:
			return c
		}
	}
	if len(s.open) > 1 {
		return last
	}
	return nil
}

// reserve asks net/http for a stream. If net/http has no stream, the session is full or closed.
func (c *session) reserve() bool {
	if c.cc.Reserve() == nil {
		return true
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.used--
	c.look()
	c.full = c.full || c.cc.Available() == 0
	return false
}

// look removes a closed session from the open ones. The lock is held.
func (c *session) look() {
	if c.cc.Err() == nil {
		c.full = c.full && c.cc.Available() == 0
		return
	}
	c.full = true
	if i := slices.Index(c.of.open, c); i >= 0 {
		c.of.open = slices.Delete(c.of.open, i, i+1)
	}
}

// changed is net/http's word that a session has more room, or has been closed.
func (c *session) changed(*http.ClientConn) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.look()
	c.of.wakeFirst()
}

// release gives the stream back.
func (c *session) release() {
	s := c.of
	s.mu.Lock()
	c.used--
	s.wakeFirst()
	idle := s.closed && c.used == 0
	s.mu.Unlock()
	if idle {
		_ = c.cc.Close() // no request uses it
	}
}

// wakeFirst has the first request of the queue look again. The lock is held.
func (s *sessions) wakeFirst() {
	if len(s.queue) > 0 {
		s.queue[0].look()
	}
}

func (a *waiter) look() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// served takes a request that has its session out of the queue. There may be room for the next one.
func (s *sessions) served(a *waiter) {
	if a != nil {
		s.quit(a)
	}
}

// quit takes a request out of the queue.
func (s *sessions) quit(a *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.queue, a); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
	s.wakeFirst()
	s.stopDials()
}

// dial opens as many connections as the queue needs in addition to the room that exists. The lock
// is held.
func (s *sessions) dial() {
	room := 0
	for _, c := range s.open {
		if !c.full {
			room += StreamsPerConn - c.used
		}
	}
	for room+len(s.dials)*StreamsPerConn < len(s.queue) {
		s.dial1()
	}
}

// dial1 opens one connection in the background. The lock is held.
func (s *sessions) dial1() {
	ctx, stop := context.WithCancel(context.Background())
	d := &dial{stop}
	s.dials = append(s.dials, d)
	go s.open1(ctx, d)
}

// stopDials ends the dials of a closed pool for which no request waits. The lock is held.
func (s *sessions) stopDials() {
	if s.closed && len(s.queue) == 0 {
		for _, d := range s.dials {
			d.stop()
		}
	}
}

// open1 opens a connection. It ends with its dial, which the target's connect timeout bounds and
// close ends.
func (s *sessions) open1(ctx context.Context, d *dial) {
	defer d.stop()
	c, err := s.connect(ctx)
	s.mu.Lock()
	s.dials = slices.DeleteFunc(s.dials, func(o *dial) bool { return o == d })
	if err != nil {
		s.fail(err)
		s.mu.Unlock()
		return
	}
	s.open = append(s.open, c)
	c.look()
	unwanted := s.closed && len(s.queue) == 0
	s.wakeFirst()
	s.mu.Unlock()
	if unwanted {
		_ = c.cc.Close() // no request uses it
	}
}

// fail gives err to the requests for which a connection was opened. The lock is held.
func (s *sessions) fail(err error) {
	n := len(s.queue)
	if len(s.dials) > 0 {
		n = min(n, StreamsPerConn)
	}
	for _, a := range s.queue[:n] {
		a.failed = err
		if old, ok := err.(*choseHTTP1); ok && old.conn != nil { // the first one has it
			err = &choseHTTP1{}
		}
		a.look()
	}
	if old, ok := err.(*choseHTTP1); ok && old.conn != nil {
		_ = old.conn.Close() // it was not used
	}
	s.queue = slices.Delete(s.queue, 0, n)
	s.wakeFirst()
}

// connect opens a connection, notes which protocol the target chose, and waits for the target's
// SETTINGS.
func (s *sessions) connect(ctx context.Context) (*session, error) {
	nc, err := s.sender.endpoint.Take(ctx)
	if err != nil {
		return nil, err
	}
	if _, old := nc.(*link.HTTP1Over); old {
		s.speaks(false)
		return nil, &choseHTTP1{nc}
	}
	s.speaks(true)
	settled := make(chan struct{})
	once := sync.OnceFunc(func() { close(settled) })
	raw := link.Raw(nc)
	raw.Settled = once
	cc, err := s.begin(ctx, nc)
	if err != nil {
		_ = nc.Close() // the error that matters is err
		return nil, &fault.Error{Kind: fault.Classify(err, fault.Connecting), Target: s.sender.target.Name, Err: err}
	}
	c := &session{of: s, cc: cc}
	cc.SetStateHook(func(cc *http.ClientConn) {
		if cc.Err() != nil {
			once()
		}
		c.changed(cc)
	})
	timer := time.NewTimer(settingsTime)
	defer timer.Stop()
	select {
	case <-settled:
	case <-timer.C:
	case <-ctx.Done():
	}
	if cc.Err() != nil || ctx.Err() != nil {
		_ = cc.Close() // no request uses it
		return nil, &fault.Error{Kind: fault.ConnectionTerminated, Target: s.sender.target.Name, Err: errStillborn}
	}
	return c, nil
}

// speaks notes whether the target speaks HTTP/2. The number of slots follows from that and from the
// number of connections.
func (s *sessions) speaks(h2 bool) {
	if s.http1.Swap(!h2) == h2 {
		s.resize(h2)
	}
}

// close closes the idle sessions. Sessions that are released later are closed too.
func (s *sessions) close() {
	s.mu.Lock()
	s.closed = true
	s.stopDials()
	var idle []*session
	for _, c := range s.open {
		if c.used == 0 {
			idle = append(idle, c)
		}
	}
	s.mu.Unlock()
	for _, c := range idle {
		_ = c.cc.Close() // no request uses it
	}
}

// handedKey is of a connection in the context of a dial, which takes it instead of opening one.
type handedKey struct{}

// handed is a connection that one dial may take.
type handed struct{ conn atomic.Pointer[net.Conn] }

func withConn(ctx context.Context, c net.Conn) (context.Context, *handed) {
	h := new(handed)
	h.conn.Store(&c)
	return context.WithValue(ctx, handedKey{}, h), h
}

// take returns the connection, once. It returns nil if there is no connection.
func (h *handed) take() net.Conn {
	if h == nil {
		return nil
	}
	if c := h.conn.Swap(nil); c != nil {
		return *c
	}
	return nil
}

// handedIn gives the connection that ctx brings.
func handedIn(ctx context.Context) net.Conn {
	h, _ := ctx.Value(handedKey{}).(*handed)
	return h.take()
}

// agreedOn2 reports whether a TLS connection carries HTTP/2.
func agreedOn2(nc net.Conn) bool {
	secure, ok := nc.(*tls.Conn)
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}
