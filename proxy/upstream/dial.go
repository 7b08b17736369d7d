package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"
)

// endpoint opens connections to one target.
type endpoint struct {
	name    string // of the target, for errors
	address string // host:port
	tls     *tls.Config
	connect time.Duration // bound of TCP and TLS together, 0 for none
	stall   time.Duration
	open    atomic.Int64 // connections that are open
}

// dial opens a connection, secured where the target is https. A nil net.Conn comes with an *Error.
func (e *endpoint) dial(ctx context.Context, config *tls.Config) (net.Conn, error) {
	if e.connect > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.connect)
		defer cancel()
	}
	c, err := e.reach(ctx, config)
	if err != nil {
		return nil, &Error{Kind: e.kind(ctx, err), Target: e.name, Err: err}
	}
	return c, nil
}

func (e *endpoint) reach(ctx context.Context, config *tls.Config) (net.Conn, error) {
	var d net.Dialer
	tcp, err := d.DialContext(ctx, "tcp", e.address)
	if err != nil {
		return nil, err
	}
	raw := newConn(tcp, &e.open, e.stall)
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
	return secure, nil
}

// agreed makes sure that a target asked for HTTP/2 alone speaks it.
func agreed(c *tls.Conn, config *tls.Config) error {
	if got := c.ConnectionState().NegotiatedProtocol; len(config.NextProtos) == 1 && config.NextProtos[0] == "h2" && got != "h2" {
		return &Error{Kind: TLSProtocol, Err: fmt.Errorf("ALPN chose %q, not h2; set protocol: auto", got)}
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (e *endpoint) kind(ctx context.Context, err error) Kind {
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ConnectionTimeout
	}
	k := classify(err, connecting)
	if k == ConnectionTerminated && e.tls != nil || k == Unavailable && e.tls != nil {
		return TLSProtocol
	}
	return k
}

// address is the host:port to dial for u.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// tlsConfig is what secures the connections to host.
func (c Config) tlsConfig(host string) *tls.Config {
	config := &tls.Config{
		ServerName:         c.TLS.ServerName,
		InsecureSkipVerify: c.TLS.InsecureSkipVerify, // #nosec G402 -- the configuration asks for it in so many words
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
		NextProtos:         alpn(c.Protocol),
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	if len(c.TLS.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(c.TLS.CA)
	}
	return config
}

func alpn(p Protocol) []string {
	switch p {
	case ProtocolH2:
		return []string{"h2"}
	case ProtocolAuto:
		return []string{"h2", "http/1.1"}
	default:
		return []string{"http/1.1"}
	}
}
