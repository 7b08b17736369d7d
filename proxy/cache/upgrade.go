package cache

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
)

// upgrade answers with the origin's 101 and carries bytes both ways until one side ends (RFC 9110 §7.8).
func (d *delivery) upgrade(resp *http.Response) {
	origin, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		d.refuseUpgrade("the upstream switched protocols, but its connection can't be written to")
		return
	}
	h := d.w.Header()
	for name, values := range resp.Header {
		h[name] = values
	}
	h["Connection"] = []string{"Upgrade"}
	d.x.ev.Status = http.StatusSwitchingProtocols
	d.w.WriteHeader(http.StatusSwitchingProtocols)
	client, buffered, err := http.NewResponseController(d.w).Hijack()
	if err != nil {
		d.c.log.Warn("a connection can't be upgraded", "err", err)
		return
	}
	d.c.tunnels.add(client)
	defer d.c.tunnels.remove(client)
	d.tunnel(client, buffered, origin)
}

func (d *delivery) refuseUpgrade(detail string) {
	d.reply = &Reply{failure: &failure{status: http.StatusBadGateway, proxyError: "http_upgrade_failed", detail: detail}}
	d.failure()
}

// tunnel copies until both directions have ended. An end in one direction ends the other: neither side may be left waiting for ever.
func (d *delivery) tunnel(client net.Conn, buffered *bufio.ReadWriter, origin io.ReadWriteCloser) {
	defer client.Close()
	defer origin.Close()
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(origin, buffered)
		closeWrite(origin)
	})
	n, _ := io.Copy(client, origin)
	d.x.ev.BytesOut += n
	client.Close()
	both.Wait()
}

func closeWrite(c io.Closer) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
		return
	}
	c.Close()
}

// tunnels are the upgraded connections, which outlive their requests as far as net/http knows.
type tunnels struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func (t *tunnels) add(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns == nil {
		t.conns = make(map[net.Conn]struct{})
	}
	t.conns[c] = struct{}{}
}

func (t *tunnels) remove(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// closeAll ends every tunnel.
func (t *tunnels) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		c.Close()
	}
}

// CloseTunnels ends all upgraded connections.
func (c *Cache) CloseTunnels() { c.tunnels.closeAll() }
