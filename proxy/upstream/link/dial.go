package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// Endpoint opens connections to one target.
type Endpoint struct {
	Name           string // of the target, for errors
	Address        string // host:port
	TLS            *tls.Config
	ConnectTimeout time.Duration // bound of TCP and TLS together; 0: no bound
	WriteTimeout   time.Duration
	Open           atomic.Int64 // connections that are open
	Ahead          *Ahead       // nil: nothing is kept ready
}

// Take takes a connection that was dialled ahead, or opens a new one.
func (e *Endpoint) Take(ctx context.Context) (net.Conn, error) {
	if e.Ahead != nil {
		defer e.Ahead.refill()
		if c := e.Ahead.take(); c != nil {
			return c, nil
		}
	}
	return e.Dial(ctx, e.TLS)
}

// Dial opens a connection, secured where the target is https. A nil net.Conn comes with an *Error.
func (e *Endpoint) Dial(ctx context.Context, config *tls.Config) (net.Conn, error) {
	if e.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.ConnectTimeout)
		defer cancel()
	}
	c, err := e.reach(ctx, config)
	if err != nil {
		return nil, &fault.Error{Kind: e.kind(ctx, err), Target: e.Name, Err: err}
	}
	return c, nil
}

func (e *Endpoint) reach(ctx context.Context, config *tls.Config) (net.Conn, error) {
	var d net.Dialer
	tcp, err := d.DialContext(ctx, "tcp", e.Address)
	if err != nil {
		return nil, err
	}
	raw := newConn(tcp, &e.Open, e.WriteTimeout)
	if config == nil {
		return raw, nil
	}
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS handshake: %w", err), ignoreClosed(raw.Close()))
	}
	if err := agreed(secure, config); err != nil {
		return nil, errors.Join(err, ignoreClosed(secure.Close()))
	}
	if secure.ConnectionState().NegotiatedProtocol != "h2" {
		return &HTTP1Over{Conn: secure, raw: raw}, nil
	}
	return secure, nil // net/http wants to see it as it is
}

// agreed makes sure that a target asked for HTTP/2 alone speaks it.
func agreed(c *tls.Conn, config *tls.Config) error {
	if got := c.ConnectionState().NegotiatedProtocol; len(config.NextProtos) == 1 && config.NextProtos[0] == "h2" && got != "h2" {
		return &fault.Error{Kind: fault.TLSProtocol, Err: fmt.Errorf("ALPN chose %q, not h2; set protocol: auto", got)}
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (e *Endpoint) kind(ctx context.Context, err error) fault.Kind {
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.ConnectionTimeout
	}
	k := fault.Classify(err, fault.Connecting)
	if k == fault.ConnectionTerminated && e.TLS != nil || k == fault.Unavailable && e.TLS != nil {
		return fault.TLSProtocol
	}
	return k
}

// AddressOf is the host:port to dial for u.
func AddressOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
