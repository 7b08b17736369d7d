package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// target is one server with the count of what is in flight to it.
type target struct {
	name     string // scheme and authority
	id       uint64 // hash of its URL: what consistent hashing knows it by
	url      *url.URL
	base     string // path in front of every request's own, without a slash at the end
	weight   int
	end      *endpoint
	stock    *stock        // nil when nothing is kept ready
	lines    *lines        // idle connections of trips; nil where net/http speaks with the target
	slots    chan struct{} // one for each exchange that may run; nil for no limit
	inFlight atomic.Int64
	record   record
	waiting  atomic.Int64 // of those in flight, those that have no slot yet
	tries    atomic.Uint64
	failures atomic.Uint64

	escapedBase string
	host        string // what Host says of it
}

func newTarget(c Config, t Target) (*target, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, err
	}
	out := &target{name: u.Scheme + "://" + u.Host, id: hashString(t.URL), url: u, weight: max(1, t.Weight)}
	out.base, out.escapedBase = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.EscapedPath(), "/")
	out.end = &endpoint{name: out.name, address: address(u), connect: c.Timeouts.Connect, stall: c.Timeouts.Idle}
	out.host = hostField(u)
	if u.Scheme == "https" {
		out.end.tls = c.tlsConfig(u.Hostname())
	} else if c.Protocol == ProtocolH1 || c.Protocol == ProtocolAuto {
		out.lines = newLines(c.Limits.IdleTimeout, c.Limits.Max)
	}
	if c.Limits.Max > 0 {
		out.slots = make(chan struct{}, c.Limits.Max*perConn(c.Protocol, u.Scheme))
	}
	if c.Limits.Min > 0 {
		out.stock = newStock(out.end, c.Limits.Min, c.Limits.IdleTimeout)
	}
	return out, nil
}

// hostField is u's authority without the zone of an address, which means something on this machine alone (RFC 6874 §4).
func hostField(u *url.URL) string {
	name, _, zoned := strings.Cut(u.Hostname(), "%")
	if !zoned {
		return u.Host
	}
	if port := u.Port(); port != "" {
		return net.JoinHostPort(name, port)
	}
	return "[" + name + "]"
}

// perConn is how many exchanges one connection carries.
func perConn(p Protocol, scheme string) int {
	if p == ProtocolH2 || p == ProtocolH2C || p == ProtocolAuto && scheme == "https" {
		return StreamsPerConn
	}
	return 1
}

var errBusy = errors.New("all connections are in use; raise pool.max or pool.wait")

// enter waits for a slot. It returns an *Error, or the cause of ctx.
func (t *target) enter(ctx context.Context, wait time.Duration) error {
	t.inFlight.Add(1)
	if t.slots == nil {
		return nil
	}
	select {
	case t.slots <- struct{}{}:
		return nil
	default:
	}
	if err := t.queue(ctx, wait); err != nil {
		t.inFlight.Add(-1)
		return err
	}
	return nil
}

func (t *target) queue(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return &Error{Kind: PoolExhausted, Target: t.name, Err: errBusy}
	}
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case t.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return &Error{Kind: PoolExhausted, Target: t.name, Err: fmt.Errorf("no connection within %v: %w", wait, errBusy)}
	}
}

// leave gives the slot back.
func (t *target) leave() {
	t.inFlight.Add(-1)
	if t.slots != nil {
		<-t.slots
	}
}
