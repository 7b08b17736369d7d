package std

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
	"github.com/penstock/penstock/proxy/upstream/link"
)

const (
	bufferSize      = 32 << 10
	continueTimeout = time.Second // a target that does not know Expect gets the body after this
	pingAfter       = 15 * time.Second
	// streamBuffer is how much of an HTTP/2 response may have come that its client has not taken.
	// net/http's four megabytes would let a few hundred clients that do not read use up the window
	// of their connection, which other clients' responses share, and gigabytes of memory.
	streamBuffer = 512 << 10
)

// StreamsPerConn is the number of concurrent HTTP/2 streams that servers commonly allow, and RFC
// 9113 §6.5.2 recommends as the least.
const StreamsPerConn = 100

// Config says how a Client speaks with its targets.
type Config struct {
	HTTP1, HTTP2 bool // the versions over TLS, of which ALPN chooses one
	H2C          bool // HTTP/2 without TLS
	PreserveHost bool // sends the client's Host on; otherwise the target's own is sent
	MaxHeader    int64
	MaxConns     int           // of a target; 0: no bound
	Upgraded     int           // upgraded connections of a target outside of MaxConns; 0: no bound
	IdleTimeout  time.Duration // of an unused connection
	WriteTimeout time.Duration // of one write; 0: no bound
	Wait         time.Duration // how long a request that has a slot waits for its connection; 0: no bound
}

// Client is net/http's side of a pool: the transports that its targets share.
type Client struct {
	config    Config
	Main      *http.Transport
	h1        *http.Transport // for upgrades, if main may agree on HTTP/2
	senders   []*Sender
	byAddress map[string]*Sender
	closed    atomic.Bool
}

// NewClient makes the client of a pool. It has no targets yet.
func NewClient(config Config) *Client {
	c := &Client{config: config, byAddress: make(map[string]*Sender)}
	c.Main = c.newTransport(protocols(config), true)
	c.h1 = c.Main
	if config.HTTP1 && config.HTTP2 {
		c.h1 = c.newTransport(protocols(Config{HTTP1: true}), false)
	}
	return c
}

// Sender makes the sender of a target. resize is told when the target changes between HTTP/1.1 and
// HTTP/2.
func (c *Client) Sender(to *hop.Target, end *link.Endpoint, resize func(h2 bool)) *Sender {
	s := &Sender{client: c, target: to, endpoint: end}
	if c.config.HTTP2 || c.config.H2C {
		s.sessions = &sessions{sender: s, resize: resize, begin: func(ctx context.Context, nc net.Conn) (*http.ClientConn, error) {
			ctx, _ = withConn(ctx, nc)
			return c.Main.NewClientConn(ctx, to.Scheme, end.Address)
		}}
	}
	c.senders = append(c.senders, s)
	if _, ok := c.byAddress[to.Scheme+end.Address]; !ok {
		c.byAddress[to.Scheme+end.Address] = s
	}
	return s
}

func (c *Client) newTransport(protocols *http.Protocols, stocked bool) *http.Transport {
	return &http.Transport{
		Proxy: nil, // the environment has no say in where requests go
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return c.Dial(ctx, "http", address, stocked)
		},
		DialTLSContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return c.Dial(ctx, "https", address, stocked)
		},
		DisableCompression:     true, // the gateway owns the codings
		MaxConnsPerHost:        c.connsPerHost(protocols),
		MaxIdleConnsPerHost:    idleConns(c.config.MaxConns),
		IdleConnTimeout:        c.config.IdleTimeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: c.config.MaxHeader,
		WriteBufferSize:        bufferSize,
		ReadBufferSize:         bufferSize,
		Protocols:              protocols,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: streamBuffer,
			SendPingTimeout:           pingAfter, PingTimeout: pingAfter, WriteByteTimeout: c.config.WriteTimeout,
		},
	}
}

// connsPerHost bounds the connections of a transport. Over HTTP/1.1 the slots bound the connections
// already, but some slots are outside of MaxConns. [sessions] bounds the HTTP/2 connections.
func (c *Client) connsPerHost(protocols *http.Protocols) int {
	if !protocols.HTTP1() || c.config.MaxConns == 0 || c.config.Upgraded == 0 {
		return 0
	}
	return c.config.MaxConns + c.config.Upgraded
}

// protocols are the versions that a transport speaks.
func protocols(c Config) *http.Protocols {
	var out http.Protocols
	out.SetHTTP1(c.HTTP1)
	out.SetHTTP2(c.HTTP2)
	out.SetUnencryptedHTTP2(c.H2C)
	return &out
}

func idleConns(limit int) int {
	if limit > 0 {
		return limit
	}
	return 1024
}

// Dial takes a connection that was dialled ahead, or opens one.
func (c *Client) Dial(ctx context.Context, scheme, address string, stocked bool) (net.Conn, error) {
	s := c.byAddress[scheme+address]
	if s == nil {
		return nil, &fault.Error{Kind: fault.Internal, Err: fmt.Errorf("no target at %s://%s", scheme, address)}
	}
	if !stocked {
		return s.endpoint.Dial(ctx, h1TLS(s.endpoint.TLS))
	}
	nc := handedIn(ctx)
	if nc != nil {
		return nc, nil
	}
	nc, err := s.endpoint.Take(ctx)
	if err == nil && s.sessions != nil && agreedOn2(nc) {
		s.sessions.speaks(true) // from the next request on
	}
	return nc, err
}

// h1TLS is config for HTTP/1.1 alone.
func h1TLS(config *tls.Config) *tls.Config {
	if config == nil {
		return nil
	}
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	return config
}

func (c *Client) transport(upgrade string) *http.Transport {
	if upgrade != "" {
		return c.h1
	}
	return c.Main
}

// Close closes the idle connections. Connections that are returned later are closed too.
func (c *Client) Close() {
	c.closed.Store(true)
	c.closeIdle()
}

// left says that an attempt has ended.
func (c *Client) left() {
	if c.closed.Load() {
		c.closeIdle()
	}
}

func (c *Client) closeIdle() {
	for _, s := range c.senders {
		if s.sessions != nil {
			s.sessions.close()
		}
	}
	c.Main.CloseIdleConnections()
	if c.h1 != c.Main {
		c.h1.CloseIdleConnections()
	}
}
