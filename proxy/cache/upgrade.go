package cache

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// tunnelLinger is how long the second direction of an upgraded connection may go on after the first has ended: enough for what is under way.
const tunnelLinger = 10 * time.Second

// upgrade answers with the origin's 101 and carries bytes both ways until one side ends (RFC 9110 §7.8).
func (d *delivery) upgrade(resp *http.Response) {
	origin, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		d.failure(&failure{
			status: http.StatusBadGateway, proxyError: "http_upgrade_failed",
			detail: "the upstream switched protocols, but its connection can't be written to",
		})
		return
	}
	h := d.w.Header()
	maps.Copy(h, resp.Header)
	h["Connection"] = []string{"Upgrade"}
	d.x.ev.Status = http.StatusSwitchingProtocols
	d.w.WriteHeader(http.StatusSwitchingProtocols)
	d.x.ev.Took = d.c.Now().Sub(d.x.ev.Start)
	conn, buffered, err := http.NewResponseController(d.w).Hijack()
	if err != nil {
		d.abort("upgrading a connection", err)
	}
	defer conn.Close()
	if !d.c.tunnels.add(conn) {
		return
	}
	defer d.c.tunnels.remove(conn)
	d.tunnel(conn, buffered, origin)
}

// tunnel copies until both directions have ended. After the end of one the other has tunnelLinger left: neither side may be left waiting for
// ever.
func (d *delivery) tunnel(client net.Conn, buffered *bufio.ReadWriter, origin io.ReadWriteCloser) {
	_ = client.SetDeadline(time.Time{}) // those of the server bound one request
	cut := func() {
		_, _ = client.Close(), origin.Close() // what they say of an end does not matter any more
	}
	defer cut()
	ended := make(chan struct{}, 2)
	var both sync.WaitGroup
	both.Go(func() {
		n, _ := io.Copy(origin, buffered) // an error is an end like any other
		d.x.ev.BytesIn += n
		closeWrite(origin)
		ended <- struct{}{}
	})
	both.Go(func() {
		n, _ := io.Copy(client, origin)
		d.x.ev.BytesOut += n
		d.x.ev.BytesFromOrigin += n
		closeWrite(client)
		ended <- struct{}{}
	})
	<-ended
	linger := time.AfterFunc(tunnelLinger, cut)
	both.Wait()
	linger.Stop()
}

// closeWrite ends the sending direction, or all where that can't be done.
func closeWrite(c io.Closer) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		if err := w.CloseWrite(); err == nil || !errors.Is(err, errors.ErrUnsupported) {
			return
		}
	}
	_ = c.Close() // it has ended already
}

// tunnels are the upgraded connections, of which net/http knows nothing any more.
type tunnels struct {
	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

// add enters c; it is false once no more are wanted.
func (t *tunnels) add(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	if t.conns == nil {
		t.conns = make(map[net.Conn]struct{})
	}
	t.conns[c] = struct{}{}
	return true
}

func (t *tunnels) remove(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// close ends every tunnel, and lets none begin.
func (t *tunnels) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.conns {
		c.Close()
	}
}

// CloseTunnels ends all upgraded connections, for good.
func (c *Cache) CloseTunnels() { c.tunnels.close() }
