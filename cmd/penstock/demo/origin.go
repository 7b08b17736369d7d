package demo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// origin is a sample server that counts its requests and the bytes that it sends.
type origin struct {
	name   string
	addr   string
	calls  atomic.Int64 // requests, except for /ping
	sent   atomic.Int64 // bytes on the wire, including heads
	server *http.Server
	served chan struct{}
}

// listen starts an origin. The address 127.0.0.1:0 takes a free port.
func listen(name, address string, h http.Handler) (*origin, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the %s origin cannot listen: %w", name, err)
	}
	o := &origin{name: name, addr: ln.Addr().String(), served: make(chan struct{})}
	o.server = &http.Server{Handler: o.count(h), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(o.served)
		_ = o.server.Serve(&countingListener{ln, &o.sent}) // close makes it return ErrServerClosed
	}()
	return o, nil
}

func (o *origin) url() string { return "http://" + o.addr }

// count counts calls. Clients open their connections with /ping before they measure, so /ping does
// not count.
func (o *origin) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" {
			pause(r.Context(), 30*time.Millisecond) // long enough that concurrent pings need a connection each
			w.Header().Set("Cache-Control", "no-store")
			return
		}
		o.calls.Add(1)
		h.ServeHTTP(w, r)
	})
}

// close stops the origin at once, like a crash.
func (o *origin) close() {
	o.server.Close()
	<-o.served
}

// pause simulates work that takes the time d. It returns early if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// countingListener adds up the bytes that are written to its connections.
type countingListener struct {
	net.Listener
	sent *atomic.Int64
}

// Accept waits for the next connection.
func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{Conn: c, written: l.sent}, nil
}

// countingConn adds up the bytes that are read and written. A nil counter turns its direction off.
type countingConn struct {
	net.Conn
	read, written *atomic.Int64
}

// Read counts the bytes that it reads.
func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.read != nil {
		c.read.Add(int64(n))
	}
	return n, err
}

// Write counts the bytes that it writes.
func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.written != nil {
		c.written.Add(int64(n))
	}
	return n, err
}
