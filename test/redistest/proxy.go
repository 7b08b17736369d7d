package redistest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy forwards connections to a server and can disturb the replies. Its faults may be set at any
// time and apply to all connections, including open ones. Without faults it only forwards.
type Proxy struct {
	Addr string // host:port of the proxy itself

	target   string
	listener net.Listener
	delay    atomic.Int64 // before each piece of a reply
	resetAt  atomic.Int64 // bytes of replies until a reset; negative means never
	closeAt  atomic.Int64 // bytes of replies until an orderly close; negative means never
	replace  atomic.Pointer[[]byte]
	refuse   atomic.Bool
	silence  atomic.Pointer[chan struct{}] // closed when the silence ends; nil without a silence
	rewrite  func([]byte) []byte           // changes replies before all faults; may be nil
	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	closed   bool
	done     sync.WaitGroup
}

// StartProxy runs a proxy in front of the server at addr.
func StartProxy(tb testing.TB, addr string) *Proxy {
	tb.Helper()
	p := newProxy(tb, addr)
	p.start(tb)
	return p
}

// newProxy returns a proxy that has a port but does not accept yet.
func newProxy(tb testing.TB, addr string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: addr, listener: l, conns: make(map[net.Conn]struct{})}
	p.Heal()
	return p
}

func (p *Proxy) start(tb testing.TB) {
	p.done.Go(p.accept)
	tb.Cleanup(p.close)
}

// URL returns the proxy's address as a redis:// URL.
func (p *Proxy) URL() string { return "redis://" + p.Addr }

// Heal removes all faults. Connections that were cut stay closed.
func (p *Proxy) Heal() {
	p.delay.Store(0)
	p.resetAt.Store(-1)
	p.closeAt.Store(-1)
	p.replace.Store(nil)
	p.refuse.Store(false)
	if ended := p.silence.Swap(nil); ended != nil {
		close(*ended)
	}
}

// Silence stops all bytes in both directions until Heal and closes no connection, like a network
// that loses all packets. Bytes sent meanwhile arrive after Heal.
func (p *Proxy) Silence() {
	ended := make(chan struct{})
	if !p.silence.CompareAndSwap(nil, &ended) {
		close(ended)
	}
}

// listen waits for the end of a silence.
func (p *Proxy) listen() {
	if ended := p.silence.Load(); ended != nil {
		<-*ended
	}
}

// Delay delays every piece of a reply by d.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// ResetAfter forwards n more bytes of replies, over all connections together. Then it resets the
// connection with the next byte, and each other connection on its next use.
func (p *Proxy) ResetAfter(n int64) { p.resetAt.Store(n) }

// CloseAfter is like ResetAfter with an orderly close: the client gets half a reply and an end of
// file.
func (p *Proxy) CloseAfter(n int64) { p.closeAt.Store(n) }

// Replace sends b in place of every piece of a reply.
func (p *Proxy) Replace(b []byte) { p.replace.Store(&b) }

// Refuse closes all open connections, and new ones as soon as they are accepted.
func (p *Proxy) Refuse() {
	p.refuse.Store(true)
	p.Cut()
}

// Cut closes all open connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close() // this ends its copying
	}
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Heal()
	p.Cut()
	p.done.Wait()
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.done.Go(func() { p.serve(conn) })
	}
}

// enter registers a connection, so that it can be cut. It returns false if the proxy is closing.
func (p *Proxy) enter(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.refuse.Load() {
		return false
	}
	p.conns[conn] = struct{}{}
	return true
}

func (p *Proxy) leave(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	if !p.enter(client) {
		return
	}
	defer p.leave(client)
	p.listen()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return // like a refused connection
	}
	defer server.Close()
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(hearing{p, server}, client) // ends when either side closes
		_ = server.Close()
	})
	p.reply(client, server)
	_ = client.Close()
	_ = server.Close()
	copying.Wait()
}

// hearing is a writer that blocks during a silence.
type hearing struct {
	p  *Proxy
	to io.Writer
}

// Write waits for the end of a silence and writes b.
func (h hearing) Write(b []byte) (int, error) {
	h.p.listen()
	return h.to.Write(b)
}

// reply copies from the server to the client until either side closes or a fault ends the
// connection.
func (p *Proxy) reply(client, server net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if n == 0 && err != nil {
			return
		}
		p.listen()
		if d := p.delay.Load(); d > 0 {
			time.Sleep(time.Duration(d))
		}
		piece := buf[:n]
		if p.rewrite != nil {
			piece = p.rewrite(piece)
		}
		if b := p.replace.Load(); b != nil {
			piece = *b
		}
		piece, cut, reset := p.cut(piece)
		if _, err := client.Write(piece); err != nil {
			return
		}
		if cut {
			if tcp, ok := client.(*net.TCPConn); ok && reset {
				_ = tcp.SetLinger(0) // makes Close send a RST
			}
			return
		}
	}
}

// cut shortens a piece to the bytes that may still pass.
func (p *Proxy) cut(piece []byte) (rest []byte, cut, reset bool) {
	if left, over := spend(&p.resetAt, len(piece)); over {
		return piece[:left], true, true
	}
	if left, over := spend(&p.closeAt, len(piece)); over {
		return piece[:left], true, false
	}
	return piece, false, false
}

// spend takes n from the remaining bytes. If fewer remain, it returns their number and reports it.
func spend(left *atomic.Int64, n int) (had int, over bool) {
	for {
		v := left.Load()
		if v < 0 {
			return 0, false
		}
		rest := max(v-int64(n), 0)
		if left.CompareAndSwap(v, rest) {
			return int(v), v < int64(n)
		}
	}
}
