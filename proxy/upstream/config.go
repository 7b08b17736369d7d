package upstream

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/penstock/penstock/proxy/upstream/send"
	"github.com/penstock/penstock/proxy/upstream/std"
)

// Config describes one upstream. It is plain data: two pools of equal Config behave alike, so that
// a pool can outlive a reload that did not touch it.
type Config struct {
	Name     string // for errors and records
	Targets  []Target
	Balance  Balance
	HashOn   string // for BalanceHash: "header:X-User", "cookie:id", "path" or "client_ip"
	Limits   Limits
	Timeouts Timeouts
	Protocol Protocol
	TLS      TLS
	// PreserveHost sends the client's Host on; otherwise the target's own is sent.
	PreserveHost bool
	// MaxHeaderBytes bounds the header section of a response, DefaultMaxHeaderBytes when 0.
	MaxHeaderBytes int64
}

// Target is one server of an upstream.
type Target struct {
	URL    string // http or https, with an optional path that is put before every request's own
	Weight int    // its share beside the others; 0 counts as 1
}

// Limits bounds the connections to each target.
type Limits struct {
	Min         int           // kept open and ready, also when there is no traffic
	Max         int           // open at once; 0 is no limit. Over HTTP/2 a connection carries many requests: Max × StreamsPerConn of them are admitted
	IdleTimeout time.Duration // how long an unused connection stays open, DefaultIdleTimeout when 0
	Wait        time.Duration // how long a request waits for a connection when Max are in use; 0: not at all
	Upgraded    int           // upgraded connections, streams and calls whose clients stand still, which do not count in Max; 0 is no limit
}

// Timeouts bounds the waits of one request.
type Timeouts = send.Timeouts

// TLS says how the connections to https targets are secured.
type TLS struct {
	CA         []byte // PEM certificates to trust instead of the system's
	ServerName string // expected in the certificate and sent as SNI, the target's host when ""
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
}

// Balance names how a target is chosen.
type Balance string

const (
	BalanceP2C        Balance = "p2c"         // the less loaded of two drawn at random by weight
	BalanceRoundRobin Balance = "round_robin" // in turn, smoothly interleaved by weight
	BalanceLeastConn  Balance = "least_conn"  // the least loaded for its weight
	BalanceHash       Balance = "hash"        // always the same one for the same HashOn value
)

// Protocol names the version of HTTP spoken with the targets.
type Protocol string

const (
	ProtocolH1   Protocol = "h1"   // HTTP/1.1
	ProtocolH2   Protocol = "h2"   // HTTP/2 over TLS
	ProtocolH2C  Protocol = "h2c"  // HTTP/2 by prior knowledge, without TLS
	ProtocolAuto Protocol = "auto" // the version that ALPN chooses over TLS; HTTP/1.1 without TLS
)

const (
	// DefaultMaxHeaderBytes is ample for any sane response and small enough that ten thousand
	// hostile ones fit in memory.
	DefaultMaxHeaderBytes = 256 << 10
	// DefaultIdleTimeout is shorter than the keep-alive of common servers behind load balancers
	// (AWS 350 s, nginx 75 s is raised by most).
	DefaultIdleTimeout = 90 * time.Second
	// StreamsPerConn is the number of requests that one HTTP/2 connection carries at a time.
	StreamsPerConn = std.StreamsPerConn
	// maxWeight keeps a round robin's period short.
	maxWeight = 1000
)

// Equal reports whether a pool made from c would behave as one made from o.
func (c Config) Equal(o Config) bool {
	return c.Name == o.Name && slices.Equal(c.Targets, o.Targets) && c.Balance == o.Balance && c.HashOn == o.HashOn &&
		c.Limits == o.Limits && c.Timeouts == o.Timeouts && c.Protocol == o.Protocol && c.TLS.equal(o.TLS) &&
		c.PreserveHost == o.PreserveHost && c.MaxHeaderBytes == o.MaxHeaderBytes
}

func (t TLS) equal(o TLS) bool {
	return bytes.Equal(t.CA, o.CA) && t.ServerName == o.ServerName && t.InsecureSkipVerify == o.InsecureSkipVerify
}

// withDefaults returns c with the zero values that stand for a default filled in. It shares nothing
// with c that New changes.
func (c Config) withDefaults() Config {
	if c.Balance == "" {
		c.Balance = BalanceP2C
	}
	if c.Protocol == "" {
		c.Protocol = ProtocolH1
	}
	if c.MaxHeaderBytes == 0 {
		c.MaxHeaderBytes = DefaultMaxHeaderBytes
	}
	if c.Limits.IdleTimeout == 0 {
		c.Limits.IdleTimeout = DefaultIdleTimeout
	}
	c.Targets = slices.Clone(c.Targets)
	c.TLS.CA = bytes.Clone(c.TLS.CA)
	return c
}

// check reports all that is wrong with c.
func (c Config) check() error {
	var errs []error
	if len(c.Targets) == 0 {
		errs = append(errs, errors.New("no targets: name at least one URL"))
	}
	for _, t := range c.Targets {
		errs = append(errs, c.checkTarget(t))
	}
	errs = append(errs, c.checkBalance(), c.checkLimits(), c.checkProtocol(), c.checkCA())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("upstream %s: %w", c.Name, err)
	}
	return nil
}

func (c Config) checkTarget(t Target) error {
	u, err := url.Parse(t.URL)
	switch {
	case err != nil:
		return fmt.Errorf("target: %w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("target %s: want a URL that begins with http:// or https://", t.URL)
	case u.Hostname() == "" || !httpguts.ValidHostHeader(u.Host) || !ascii(u.Host):
		return fmt.Errorf("target %s: want a host name (in ASCII) or address", t.URL)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("target %s: want scheme, host and path alone", t.URL)
	case t.Weight < 0 || t.Weight > maxWeight:
		return fmt.Errorf("target %s: weight %d is not between 1 and %d", t.URL, t.Weight, maxWeight)
	case c.Protocol == ProtocolH2 && u.Scheme == "http":
		return fmt.Errorf("target %s: protocol h2 needs https; for HTTP/2 without TLS take h2c", t.URL)
	case c.Protocol == ProtocolH2C && u.Scheme == "https":
		return fmt.Errorf("target %s: protocol h2c is without TLS; for https take h2 or auto", t.URL)
	}
	return nil
}

func (c Config) checkBalance() error {
	switch c.Balance {
	case BalanceP2C, BalanceRoundRobin, BalanceLeastConn:
		return nil
	case BalanceHash:
		_, err := parseHashOn(c.HashOn)
		return err
	}
	return fmt.Errorf("balance %q is none of p2c, round_robin, least_conn, hash", c.Balance)
}

func (c Config) checkLimits() error {
	l := c.Limits
	if l.Min < 0 || l.Max < 0 || l.Wait < 0 || l.IdleTimeout < 0 || l.Upgraded < 0 {
		return errors.New("pool: negative value")
	}
	if l.Max > 0 && l.Min > l.Max {
		return fmt.Errorf("pool: min %d is more than max %d", l.Min, l.Max)
	}
	t := c.Timeouts
	if min(t.Connect, t.FirstByte, t.Idle, t.Total) < 0 {
		return errors.New("timeouts: negative value")
	}
	return nil
}

func (c Config) checkProtocol() error {
	switch c.Protocol {
	case ProtocolH1, ProtocolH2, ProtocolH2C, ProtocolAuto:
		return nil
	}
	return fmt.Errorf("protocol %q is none of h1, h2, h2c, auto", c.Protocol)
}

func (c Config) checkCA() error {
	if len(c.TLS.CA) > 0 && !x509.NewCertPool().AppendCertsFromPEM(c.TLS.CA) {
		return errors.New("tls.ca holds no PEM certificate")
	}
	return nil
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
