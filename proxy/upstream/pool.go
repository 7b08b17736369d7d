package upstream

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/upstream/h1"
	"github.com/penstock/penstock/proxy/upstream/link"
	"github.com/penstock/penstock/proxy/upstream/std"
)

// Pool sends requests to the targets of one upstream. It is safe for concurrent use.
type Pool struct {
	config  Config
	targets []*target
	ids     []uint64
	order   []int // one period of round robin
	turn    atomic.Uint64
	hashOn  hashOn
	std     *std.Client   // of the targets that net/http speaks with
	random  func() uint64 // uniform; a field for tests
	dial    dialer
	now     func() time.Time // for the standings of targets alone; a field for tests

	closed   atomic.Bool
	stop     context.CancelFunc
	dialling sync.WaitGroup
}

// dialer makes a connection to a plain target, or takes one that was dialled ahead. It is a field
// for tests.
type dialer func(ctx context.Context, t *target) (*link.Conn, error)

var _ http.RoundTripper = (*Pool)(nil)

// Env holds the dependencies of a pool. The zero value is the real world.
type Env struct {
	Now    func() time.Time // by which targets that failed are left out
	Before *Pool            // the running pool that this one is to replace: its knowledge about targets that stay is kept
}

// New is Open in the real world.
func New(config Config) (*Pool, error) { return Open(config, Env{}) }

// Open checks config and makes its pool, which must be closed in the end. The pool makes
// connections when they are needed, or in the background if Limits.Min asks for it. If an upstream
// is down, Open does not fail.
func Open(config Config, env Env) (*Pool, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	p := &Pool{config: config, random: rand.Uint64, dial: dialPlain, now: env.Now}
	if p.now == nil {
		p.now = time.Now
	}
	if err := p.addTargets(); err != nil {
		return nil, err
	}
	p.inherit(env.Before)
	p.hashOn, _ = parseHashOn(config.HashOn) // parseHashOn fails only if check has failed
	p.dialAhead()
	return p, nil
}

func (p *Pool) addTargets() error {
	p.std = std.NewClient(stdConfigOf(p.config))
	weights := make([]int, 0, len(p.config.Targets))
	for _, c := range p.config.Targets {
		t, err := newTarget(p.config, c)
		if err != nil {
			return err
		}
		p.addSender(t)
		p.targets = append(p.targets, t)
		p.ids = append(p.ids, t.id)
		weights = append(weights, t.weight)
	}
	p.order = smoothOrder(weights)
	return nil
}

// addSender chooses how to speak with t.
func (p *Pool) addSender(t *target) {
	c := p.config
	if t.Scheme == "http" && (c.Protocol == ProtocolH1 || c.Protocol == ProtocolAuto) {
		t.idle = h1.NewIdle(c.Limits.IdleTimeout, c.Limits.Max)
		t.sender = &h1.Sender{
			Target: &t.Target, Idle: t.idle, PreserveHost: c.PreserveHost, MaxHeader: int(c.MaxHeaderBytes),
			Dial: func(ctx context.Context) (*link.Conn, error) { return p.dial(ctx, t) },
		}
		return
	}
	t.sender = p.std.Sender(&t.Target, t.endpoint, func(h2 bool) {
		t.slots.Resize(c.Limits.Max * map[bool]int{false: 1, true: StreamsPerConn}[h2])
	})
}

// stdConfigOf is the part of c that net/http's side goes by.
func stdConfigOf(c Config) std.Config {
	out := std.Config{
		HTTP1: c.Protocol == ProtocolH1 || c.Protocol == ProtocolAuto, HTTP2: c.Protocol == ProtocolH2 || c.Protocol == ProtocolAuto,
		H2C: c.Protocol == ProtocolH2C, PreserveHost: c.PreserveHost, MaxHeader: c.MaxHeaderBytes, MaxConns: c.Limits.Max, Upgraded: c.Limits.Upgraded,
		IdleTimeout: c.Limits.IdleTimeout, WriteTimeout: c.Timeouts.Idle,
	}
	if c.Limits.Max > 0 && c.Timeouts.Connect > 0 {
		// With a slot there is nearly always a connection, but those that are being closed, or
		// opened for others, count too.
		out.Wait = c.Limits.Wait + c.Timeouts.Connect + time.Second
	}
	return out
}

func (p *Pool) dialAhead() {
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	for _, t := range p.targets {
		if t.endpoint.Ahead != nil {
			p.dialling.Go(func() { t.endpoint.Ahead.Keep(ctx) })
		}
	}
}

func dialPlain(ctx context.Context, t *target) (*link.Conn, error) {
	c, err := t.endpoint.Take(ctx)
	if err != nil {
		return nil, err
	}
	return c.(*link.Conn), nil // nothing is around it without TLS
}

// InFlight is the number of requests that run or wait for a connection.
func (p *Pool) InFlight() int {
	n := 0
	for _, t := range p.targets {
		n += int(t.slots.InFlight.Load())
	}
	return n
}

// Config is the configuration of the pool, with the defaults filled in.
func (p *Pool) Config() Config { return p.config.withDefaults() }

// Close closes the idle connections and ends the pool's goroutines. Requests, streams and upgraded
// connections that are under way go on, and if a request still comes, it is served. Their
// connections are closed when they are done.
func (p *Pool) Close() {
	if !p.closed.CompareAndSwap(false, true) {
		return
	}
	p.stop()
	p.dialling.Wait()
	for _, t := range p.targets {
		if t.idle != nil {
			t.idle.Close()
		}
	}
	p.std.Close()
}
