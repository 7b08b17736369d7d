package redistest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy passes connections on to a server and spoils the replies as it is told. Its faults may be set at any time and act on all connections,
// those that stand included; without any it only passes on.
type Proxy struct {
	Addr string // host:port to connect to instead of the server's

	target   string
	listener net.Listener
	delay    atomic.Int64 // before each piece of a reply
	resetAt  atomic.Int64 // bytes of replies until a reset; negative: never
	closeAt  atomic.Int64 // bytes of replies until an orderly end; negative: never
	replace  atomic.Pointer[[]byte]
	refuse   atomic.Bool
	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	closed   bool
	done     sync.WaitGroup
}

// StartProxy runs a proxy in front of the server at addr.
func StartProxy(tb testing.TB, addr string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: addr, listener: l, conns: make(map[net.Conn]struct{})}
	p.Heal()
	p.done.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// URL is the proxy's address as a redis:// URL.
func (p *Proxy) URL() string { return "redis://" + p.Addr }

// Heal takes all faults away. Connections that were cut stay so.
func (p *Proxy) Heal() {
	p.delay.Store(0)
	p.resetAt.Store(-1)
	p.closeAt.Store(-1)
	p.replace.Store(nil)
	p.refuse.Store(false)
}

// Delay holds back every piece of a reply for d.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// ResetAfter passes on n more bytes of replies, of all connections together, and then resets the connection on which the next comes, and all
// others as they are used.
func (p *Proxy) ResetAfter(n int64) { p.resetAt.Store(n) }

// CloseAfter is ResetAfter with an orderly end: half a reply and nothing more.
func (p *Proxy) CloseAfter(n int64) { p.closeAt.Store(n) }

// Replace gives b for every piece of a reply, whatever the server says.
func (p *Proxy) Replace(b []byte) { p.replace.Store(&b) }

// Refuse ends new connections as soon as they are made, and those that stand now.
func (p *Proxy) Refuse() {
	p.refuse.Store(true)
	p.Cut()
}

// Cut ends all connections that stand now.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close() // ends its copying
	}
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
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

// enter notes a connection to be cut; false: there is no time for it any more.
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
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return // as if it were refused
	}
	defer server.Close()
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(server, client) // ends when either side does
		_ = server.Close()
	})
	p.reply(client, server)
	_ = client.Close()
	_ = server.Close()
	copying.Wait()
}

// reply copies from the server to the client until either ends or a fault ends it.
func (p *Proxy) reply(client, server net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if n == 0 && err != nil {
			return
		}
		if d := p.delay.Load(); d > 0 {
			time.Sleep(time.Duration(d))
		}
		piece := buf[:n]
		if b := p.replace.Load(); b != nil {
			piece = *b
		}
		piece, cut, reset := p.cut(piece)
		if _, err := client.Write(piece); err != nil {
			return
		}
		if cut {
			if tcp, ok := client.(*net.TCPConn); ok && reset {
				_ = tcp.SetLinger(0) // the end is a RST
			}
			return
		}
	}
}

// cut shortens a piece to what may still pass.
func (p *Proxy) cut(piece []byte) (rest []byte, cut, reset bool) {
	if left, over := spend(&p.resetAt, len(piece)); over {
		return piece[:left], true, true
	}
	if left, over := spend(&p.closeAt, len(piece)); over {
		return piece[:left], true, false
	}
	return piece, false, false
}

// spend takes n from what is left, and reports when that is not enough, with what there is.
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
