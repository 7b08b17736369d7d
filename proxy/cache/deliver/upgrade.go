package deliver

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

// tunnelLinger is how long the second direction of an upgraded connection may continue after the
// first has ended. It is enough for bytes under way.
const tunnelLinger = 10 * time.Second

// upgrade answers with the origin's 101 and carries bytes both ways until one side ends (RFC 9110
// §7.8).
func (d *Delivery) upgrade(resp *http.Response) {
	origin, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		d.Fail(&Failure{
			Status: http.StatusBadGateway, ProxyError: "http_upgrade_failed",
			Detail: "the upstream switched protocols, but its connection can't be written to",
		})
		return
	}
	h := d.Writer.Header()
	maps.Copy(h, resp.Header)
	h["Connection"] = []string{"Upgrade"}
	d.Event.Status = http.StatusSwitchingProtocols
	d.Writer.WriteHeader(http.StatusSwitchingProtocols)
	d.Event.Took = d.Server.Now().Sub(d.Event.Start)
	conn, buffered, err := http.NewResponseController(d.Writer).Hijack()
	if err != nil {
		d.abort("upgrading a connection", err)
	}
	defer conn.Close()
	toClient, toOrigin := &webSocket{to: conn}, &webSocket{to: origin, masked: true}
	leave := func() {
		toClient.leave()
		toOrigin.leave()
	}
	if !d.Server.Tunnels.add(conn, leave) {
		return
	}
	defer d.Server.Tunnels.remove(conn)
	d.tunnel(conn, buffered, origin, toClient, toOrigin)
}

// tunnel copies bytes until both directions have ended. After the end of one direction the other
// may continue for tunnelLinger, so that neither side waits for ever. toClient and toOrigin write
// to the client and to the origin.
func (d *Delivery) tunnel(client net.Conn, buffered *bufio.ReadWriter, origin io.ReadWriteCloser, toClient, toOrigin io.Writer) {
	_ = client.SetDeadline(time.Time{}) // the server's deadlines bound one request
	cut := func() {
		_, _ = client.Close(), origin.Close() // an error at the end has no effect any more
	}
	defer cut()
	ended := make(chan struct{}, 2)
	var both sync.WaitGroup
	both.Go(func() {
		n, _ := io.Copy(toOrigin, buffered) // an error ends the direction like an end of file
		d.Event.BytesIn += n
		closeWrite(origin)
		ended <- struct{}{}
	})
	both.Go(func() {
		n, _ := io.Copy(toClient, origin)
		d.Event.BytesOut += n
		d.Event.BytesFromOrigin += n
		closeWrite(client)
		ended <- struct{}{}
	})
	<-ended
	linger := time.AfterFunc(tunnelLinger, cut)
	both.Wait()
	linger.Stop()
}

// closeWrite ends the sending direction, or closes the whole connection if that is not possible.
func closeWrite(c io.Closer) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		if err := w.CloseWrite(); err == nil || !errors.Is(err, errors.ErrUnsupported) {
			return
		}
	}
	_ = c.Close() // the direction has ended already
}

// Tunnels holds the upgraded connections, which net/http no longer tracks.
type Tunnels struct {
	mu     sync.Mutex
	closed bool
	left   bool
	conns  map[net.Conn]func() // each with the function that tells both sides that the gateway goes away
}

// add enters c. leave tells both sides of c that the gateway goes away. add returns false after
// Close, and the caller must then end c.
func (t *Tunnels) add(c net.Conn, leave func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	if t.conns == nil {
		t.conns = make(map[net.Conn]func())
	}
	t.conns[c] = leave
	if t.left {
		go leave() // ends with the connection at the latest
	}
	return true
}

func (t *Tunnels) remove(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// Close ends every tunnel, and makes add refuse new ones.
func (t *Tunnels) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.conns {
		c.Close()
	}
}

// Leave tells both sides of each upgraded connection, and of later ones, that the gateway goes
// away. Each connection has a goroutine of its own, because a side that reads nothing would delay
// the others. The goroutine ends with its connection at the latest.
func (t *Tunnels) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = true
	for _, leave := range t.conns {
		go leave()
	}
}
