package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

const (
	bufferSize      = 32 << 10
	continueTimeout = time.Second // a target that does not know Expect gets the body after this
	pingAfter       = 15 * time.Second
)

// Pool sends requests to the targets of one upstream. It is safe for concurrent use.
type Pool struct {
	config    Config
	targets   []*target
	ids       []uint64
	order     []int // one period of round robin
	turn      atomic.Uint64
	hashOn    hashOn
	byAddress map[string]*target
	main      *http.Transport
	h1        *http.Transport // for upgrades where main may agree on HTTP/2
	random    func() uint64   // uniform; a field for tests
	open      opener

	closed   atomic.Bool
	stop     context.CancelFunc
	stocking sync.WaitGroup
}

// opener makes a connection to a plain target, or takes one out of stock. It is a field for tests.
type opener func(ctx context.Context, t *target) (*conn, error)

var _ http.RoundTripper = (*Pool)(nil)

// New checks config and makes its pool, which has to be closed in the end. Connections are made when they are needed, or in the background where
// Limits.Min asks for it: an upstream that is down does not make New fail.
func New(config Config) (*Pool, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	p := &Pool{config: config, random: rand.Uint64, open: openPlain, byAddress: make(map[string]*target)}
	if err := p.addTargets(); err != nil {
		return nil, err
	}
	p.hashOn, _ = parseHashOn(config.HashOn) // checked where it is used
	p.main = p.newTransport(config.Protocol, true)
	p.h1 = p.main
	if config.Protocol == ProtocolAuto {
		p.h1 = p.newTransport(ProtocolH1, false)
	}
	p.keepStocks()
	return p, nil
}

func (p *Pool) addTargets() error {
	weights := make([]int, 0, len(p.config.Targets))
	for _, c := range p.config.Targets {
		t, err := newTarget(p.config, c)
		if err != nil {
			return err
		}
		p.targets = append(p.targets, t)
		p.ids = append(p.ids, t.id)
		weights = append(weights, t.weight)
		if _, ok := p.byAddress[t.url.Scheme+t.end.address]; !ok {
			p.byAddress[t.url.Scheme+t.end.address] = t
		}
	}
	p.order = smoothOrder(weights)
	return nil
}

func (p *Pool) keepStocks() {
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	for _, t := range p.targets {
		if t.stock != nil {
			p.stocking.Go(func() { t.stock.keep(ctx) })
		}
	}
}

func (p *Pool) newTransport(protocol Protocol, stocked bool) *http.Transport {
	l := p.config.Limits
	return &http.Transport{
		Proxy: nil, // the environment has no say in where requests go
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return p.dial(ctx, "http", address, stocked)
		},
		DialTLSContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return p.dial(ctx, "https", address, stocked)
		},
		DisableCompression:     true, // the gateway owns the codings
		MaxConnsPerHost:        l.Max,
		MaxIdleConnsPerHost:    idleConns(l.Max),
		IdleConnTimeout:        l.IdleTimeout,
		ResponseHeaderTimeout:  p.config.Timeouts.FirstByte,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: p.config.MaxHeaderBytes,
		WriteBufferSize:        bufferSize,
		ReadBufferSize:         bufferSize,
		Protocols:              protocols(protocol),
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter, WriteByteTimeout: p.config.Timeouts.Idle},
	}
}

func protocols(p Protocol) *http.Protocols {
	var out http.Protocols
	out.SetHTTP1(p == ProtocolH1 || p == ProtocolAuto)
	out.SetHTTP2(p == ProtocolH2 || p == ProtocolAuto)
	out.SetUnencryptedHTTP2(p == ProtocolH2C)
	return &out
}

func idleConns(limit int) int {
	if limit > 0 {
		return limit
	}
	return 1024
}

// dial takes a connection out of stock or opens one.
func (p *Pool) dial(ctx context.Context, scheme, address string, stocked bool) (net.Conn, error) {
	t := p.byAddress[scheme+address]
	if t == nil {
		return nil, &Error{Kind: Internal, Err: fmt.Errorf("no target at %s://%s", scheme, address)}
	}
	if !stocked {
		return t.end.dial(ctx, t.end.tlsFor(false))
	}
	return t.connect(ctx)
}

// connect takes a connection out of stock or opens one.
func (t *target) connect(ctx context.Context) (net.Conn, error) {
	if t.stock != nil {
		defer t.stock.refill()
		if c := t.stock.take(); c != nil {
			return c, nil
		}
	}
	return t.end.dial(ctx, t.end.tls)
}

func openPlain(ctx context.Context, t *target) (*conn, error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	return c.(*conn), nil // nothing is around it without TLS
}

// tlsFor is the configuration for the main transport, or for the one that speaks HTTP/1.1 alone.
func (e *endpoint) tlsFor(main bool) *tls.Config {
	if main || e.tls == nil {
		return e.tls
	}
	config := e.tls.Clone()
	config.NextProtos = alpn(ProtocolH1)
	return config
}

func (p *Pool) transport(upgrade string) *http.Transport {
	if upgrade != "" {
		return p.h1
	}
	return p.main
}

// reachBound is how long an exchange that has a slot waits for its connection: with a slot there is nearly always one, but connections that
// are being closed or opened for others count too.
func (p *Pool) reachBound() time.Duration {
	if p.config.Limits.Max == 0 || p.config.Timeouts.Connect == 0 {
		return 0
	}
	return p.config.Limits.Wait + p.config.Timeouts.Connect + time.Second
}

// RoundTrip sends r, whose URL path is canonical and whose Host is the client's, to one of the targets. It fills the upstream side of the
// Event in r's context. An error is an *Error or the cause of the cancellation of r's context. The body of a 101 is an io.ReadWriteCloser.
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	ev := observe.FromContext(r.Context())
	ev.Upstream = p.config.Name
	resp, err := p.roundTrip(r, ev)
	if err != nil {
		note(ev, err)
	}
	return resp, err
}

func note(ev *observe.Event, err error) {
	ev.Err = err
	var own *Error
	if errors.As(err, &own) {
		ev.ProxyStatus = own.Kind.ProxyStatus()
	}
}

func (p *Pool) roundTrip(r *http.Request, ev *observe.Event) (*http.Response, error) {
	if err := refuse(r); err != nil {
		closeBody(r)
		return nil, err
	}
	started := time.Now()
	t := p.targets[p.choose(r)]
	ev.Target, ev.Err, ev.ProxyStatus = t.name, nil, ""
	ev.OriginRequests++
	var resp *http.Response
	var err error
	if t.lines != nil {
		resp, err = p.tripTo(r, t, ev, started)
	} else {
		resp, err = p.attempt(r, t, ev)
	}
	t.record.note(r.Context(), err)
	if err != nil {
		return nil, err
	}
	ev.FirstByte = time.Since(started)
	ev.UpstreamStatus = resp.StatusCode
	return resp, nil
}

// refuse keeps back what is never forwarded.
func refuse(r *http.Request) error {
	switch {
	case r.Method == http.MethodConnect:
		// Over HTTP/1.1 the transport would write the body of a CONNECT without framing: the next user's response could be anything.
		return &Error{Kind: RequestDenied, Err: errors.New("CONNECT is not forwarded")}
	case passes(r.Header) >= maxPasses:
		return &Error{Kind: LoopDetected, Err: fmt.Errorf("the request has passed %d gateways of this name; look for a target that leads back here", maxPasses)}
	}
	return nil
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // the request is refused already
	}
}

// maxTries bounds how often a request that has not begun is offered to connections that do not take it.
const maxTries = 8

// attempt sends r, once more where the connection was stale and r can be sent twice, and again where nothing of it was sent.
func (p *Pool) attempt(r *http.Request, t *target, ev *observe.Event) (*http.Response, error) {
	for try := 1; ; try++ {
		ev.Tries++
		t.tries.Add(1)
		step := ev.Step(observe.StepUpstream, t.name)
		e, err := p.begin(r, t)
		if err != nil {
			ev.EndStep(step, err)
			t.failures.Add(1)
			closeBody(r)
			return nil, err
		}
		e.event, e.step, e.resend = ev, step, try-1
		resp, err := e.send(r)
		ev.EndStep(step, err)
		if err == nil {
			ev.Answered(step, resp.StatusCode)
			e.receive(resp)
			return resp, nil
		}
		t.failures.Add(1)
		e.end()
		if !e.again(err, r, try) {
			if e.untouched() {
				closeBody(r)
			}
			return nil, err
		}
	}
}

// again reports whether r may be sent anew after the given number of tries.
func (e *exchange) again(err error, r *http.Request, tries int) bool {
	switch {
	case r.Context().Err() != nil || !e.stale(err):
		return false
	case e.untouched():
		return tries < maxTries
	}
	if e.early.Load() {
		return tries < 3 && replayable(r) // the connection that a first repetition used may have come from the same target with the same leftovers
	}
	return tries == 1 && replayable(r)
}

// replayable reports whether r can be sent twice (RFC 9110 §9.2.2).
func replayable(r *http.Request) bool {
	if r.Body != nil && r.Body != http.NoBody {
		return false
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// receive makes resp the caller's: fields of this hop removed, body watched.
func (e *exchange) receive(resp *http.Response) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		e.stopClocks()
		protocol := resp.Header.Get("Upgrade")
		strip(resp.Header)
		AskUpgrade(resp.Header, protocol)
		resp.Body = &upgradedConn{readWriteCloser: resp.Body.(readWriteCloser), e: e}
		return
	}
	strip(resp.Header)
	addVia(resp.Header, resp.ProtoMajor, resp.ProtoMinor)
	if resp.Body == http.NoBody {
		e.end()
		return
	}
	resp.Body = newResponseBody(e, resp.Body)
}

// choose picks the target for r.
func (p *Pool) choose(r *http.Request) int {
	if len(p.targets) == 1 {
		return 0
	}
	if p.config.Balance == BalanceRoundRobin {
		return p.order[(p.turn.Add(1)-1)%uint64(len(p.order))]
	}
	states := p.states()
	switch p.config.Balance {
	case BalanceLeastConn:
		return pickLeastConn(states, p.random())
	case BalanceHash:
		if key := p.hashOn.value(r); key != "" {
			return pickHash(states, p.ids, hashString(key))
		}
	}
	// Also for a request that has nothing to hash: all of those on one target would be no balance.
	return pickP2C(states, p.random())
}

func (p *Pool) states() []state {
	out := make([]state, len(p.targets))
	for i, t := range p.targets {
		out[i] = state{weight: t.weight, inFlight: int(t.inFlight.Load())}
	}
	return out
}

// InFlight is the number of exchanges that run or wait for a connection.
func (p *Pool) InFlight() int {
	n := 0
	for _, t := range p.targets {
		n += int(t.inFlight.Load())
	}
	return n
}

// Config is what the pool was made from, with the defaults filled in.
func (p *Pool) Config() Config { return p.config.withDefaults() }

// Close closes what is idle and ends the pool's goroutines. Exchanges, streams and upgraded connections that are under way go on, and
// a request that still comes is served; their connections are closed when they are done.
func (p *Pool) Close() {
	if !p.closed.CompareAndSwap(false, true) {
		return
	}
	p.stop()
	p.stocking.Wait()
	p.closeIdle()
}

func (p *Pool) closeIdle() {
	for _, t := range p.targets {
		if t.lines != nil {
			t.lines.close()
		}
	}
	p.main.CloseIdleConnections()
	if p.h1 != p.main {
		p.h1.CloseIdleConnections()
	}
}
