package link

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync"
)

// HTTP1Over is a TLS connection that carries HTTP/1.1. net/http takes Transfer-Encoding and
// Content-Length out of a response whose framing is in doubt, and passes the response on as if it
// were whole. So secureLine reads the header sections along, as they come.
type HTTP1Over struct {
	*tls.Conn
	raw *Conn

	mu    sync.Mutex // guards the fields below: the next request may begin while the transport reads
	head  []byte     // of the header section that is being read
	over  bool       // that of the final response has been read
	doubt bool       // it leaves the end of the response in doubt
}

// maxWatched bounds the header section that is read along. The transport's own bound is below it,
// unless it is set very high.
const maxWatched = 1 << 20

// Begin prepares for the response to the next request.
func (s *HTTP1Over) Begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head, s.over, s.doubt = s.head[:0], false, false
}

// Doubtful reports whether the response leaves its end in doubt (RFC 9112 §6.1).
func (s *HTTP1Over) Doubtful() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doubt
}

// Read reads from the connection.
func (s *HTTP1Over) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if n > 0 {
		s.watch(p[:n])
	}
	return n, err
}

// watch collects the bytes read, up to the end of the header section of the final response.
func (s *HTTP1Over) watch(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.head = append(s.head, p...)
	for {
		end := sectionEnd(s.head)
		if end < 0 {
			s.over = len(s.head) > maxWatched
			return
		}
		if !interimHead(s.head[:end]) {
			s.over, s.doubt = true, doubtfulHead(s.head[:end])
			s.head = s.head[:0]
			return
		}
		s.head = s.head[:copy(s.head, s.head[end:])]
	}
}

// sectionEnd is the position after the empty line that ends the header section, or -1.
func sectionEnd(p []byte) int {
	for i := 0; ; {
		k := bytes.IndexByte(p[i:], '\n')
		if k < 0 {
			return -1
		}
		i += k + 1
		switch rest := p[i:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return i + 1
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return i + 2
		}
	}
}

// interimHead reports whether the header section is that of a response before the final one.
func interimHead(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	_, status, _ := bytes.Cut(line, []byte(" "))
	return len(status) > 3 && status[0] == '1' && !bytes.HasPrefix(status, []byte("101"))
}

// doubtfulHead reports whether the header section has both Transfer-Encoding and Content-Length, or
// has Transfer-Encoding over HTTP/1.0.
func doubtfulHead(head []byte) bool {
	coding, length := false, false
	first, rest, _ := bytes.Cut(head, []byte("\n"))
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		name, _, _ := bytes.Cut(line, []byte(":"))
		name = bytes.TrimRight(name, " \t")
		coding = coding || bytes.EqualFold(name, []byte("Transfer-Encoding"))
		length = length || bytes.EqualFold(name, []byte("Content-Length"))
	}
	return coding && (length || bytes.HasPrefix(first, []byte("HTTP/1.0")))
}

// Raw finds the TCP connection below c; nil if c is of another kind.
func Raw(c net.Conn) *Conn {
	switch c := c.(type) {
	case *Conn:
		return c
	case *HTTP1Over:
		return c.raw
	case *tls.Conn:
		raw, _ := c.NetConn().(*Conn)
		return raw
	}
	return nil
}
