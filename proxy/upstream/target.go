package upstream

import (
	"net/url"
	"sync/atomic"

	"github.com/penstock/penstock/proxy/upstream/h1"
	"github.com/penstock/penstock/proxy/upstream/hop"
	"github.com/penstock/penstock/proxy/upstream/link"
	"github.com/penstock/penstock/proxy/upstream/send"
)

// target is one server, with its slots and its record.
type target struct {
	hop.Target
	id       uint64 // hash of its URL, by which consistent hashing knows it
	weight   int
	endpoint *link.Endpoint
	idle     *h1.Idle // idle connections of h1; nil if net/http speaks with the target
	sender   send.Sender
	slots    send.Slots // of the calls to it
	health   *health
	record   record
	tries    atomic.Uint64
	failures atomic.Uint64
	unopened atomic.Uint64
}

func newTarget(c Config, t Target) (*target, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, err
	}
	out := &target{Target: hop.NewTarget(u), id: hashString(t.URL), weight: max(1, t.Weight), health: new(health)}
	out.endpoint = &link.Endpoint{Name: out.Name, Address: link.AddressOf(u), ConnectTimeout: c.Timeouts.Connect, WriteTimeout: c.Timeouts.Idle}
	if u.Scheme == "https" {
		out.endpoint.TLS = c.tlsConfig(u.Hostname())
	}
	out.slots.Name, out.slots.Max, out.slots.MaxBeside = out.Name, c.Limits.Max*perConn(c.Protocol, u.Scheme), c.Limits.Upgraded
	if c.Limits.Min > 0 {
		out.endpoint.Ahead = link.NewAhead(out.endpoint, c.Limits.Min, c.Limits.IdleTimeout)
	}
	return out, nil
}

// perConn is how many requests one connection carries.
func perConn(p Protocol, scheme string) int {
	if p == ProtocolH2 || p == ProtocolH2C || p == ProtocolAuto && scheme == "https" {
		return StreamsPerConn
	}
	return 1
}
