package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// maxInterim bounds the interim responses to one request: a target that sends more is not going to answer.
const maxInterim = 16

var (
	errTotal   = errors.New("the response did not end in time (timeouts.total)")
	errReach   = errors.New("no connection became free in time")
	errEarly   = errors.New("the connection was closed, or held bytes that answer no request")
	errInterim = errors.New("too many interim responses")
)

// exchange is one request and its response on their way, from the choice of a target to the end of the body. It owns the context, the timers
// and the slot, and gives all of them back exactly once.
type exchange struct {
	pool   *Pool
	target *target
	caller context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	total  *time.Timer
	reach  *time.Timer
	ended  atomic.Bool

	plain     atomic.Pointer[conn] // the HTTP/1.1 connection in use, nil over HTTP/2
	early     atomic.Bool          // the response was there before the request
	heard     atomic.Bool          // something of a response has come
	waited    atomic.Bool          // the connection had been open and idle before this request
	interim   interim
	upgrading string

	event        *observe.Event // of the caller; for send alone
	step, resend int            // in it, and how often the request was sent before

	body      *requestBody  // nil for none
	continued atomic.Bool   // the target has asked for the body with 100
	moved     chan struct{} // something of that kind has come
}

// begin enters t and starts the clocks.
func (p *Pool) begin(r *http.Request, t *target) (*exchange, error) {
	if err := t.enter(r.Context(), p.config.Limits.Wait); err != nil {
		return nil, err
	}
	e := &exchange{pool: p, target: t, caller: r.Context(), upgrading: askedUpgrade(r.Header), moved: make(chan struct{}, 1)}
	e.ctx, e.cancel = context.WithCancelCause(e.caller)
	if total := p.config.Timeouts.Total; total > 0 {
		e.total = time.AfterFunc(total, func() { e.abort(ResponseTimeout, errTotal) })
	}
	e.interim.deliver, _ = e.caller.Value(interimKey{}).(func(int, http.Header))
	return e, nil
}

// abort ends the exchange with an *Error, that whoever waits in it receives.
func (e *exchange) abort(k Kind, err error) {
	e.cancel(&Error{Kind: k, Target: e.target.name, Err: err})
}

// end gives back all that the exchange holds.
func (e *exchange) end() {
	if !e.ended.CompareAndSwap(false, true) {
		return
	}
	e.stopClocks()
	e.cancel(nil)
	if c := e.plain.Load(); c != nil {
		c.release(e)
	}
	e.target.leave()
	if e.pool.closed.Load() {
		e.pool.closeIdle()
	}
}

func (e *exchange) stopClocks() {
	if e.total != nil {
		e.total.Stop()
	}
	if e.reach != nil {
		e.reach.Stop()
	}
}

// fail makes what is returned to the caller of err: the cause of its own cancellation, or an *Error.
func (e *exchange) fail(err error, at phase) error {
	var own *Error
	if errors.As(context.Cause(e.ctx), &own) {
		return own
	}
	if e.caller.Err() != nil {
		return context.Cause(e.caller)
	}
	if errors.As(err, &own) {
		return own
	}
	return &Error{Kind: classify(err, at), Target: e.target.name, Err: err}
}

// send runs the request up to the header section of its response.
func (e *exchange) send(r *http.Request) (*http.Response, error) {
	if wait := e.pool.reachBound(); wait > 0 {
		e.reach = time.AfterFunc(wait, func() { e.abort(PoolExhausted, errReach) })
	}
	ctx := httptrace.WithClientTrace(e.ctx, &httptrace.ClientTrace{
		GotConn:              e.gotConn,
		GotFirstResponseByte: e.gotFirstByte,
		PutIdleConn:          e.putIdle,
		Got100Continue:       e.got100,
		Got1xxResponse:       e.got1xx,
	})
	out := e.pool.outgoing(ctx, r, e.target)
	if parent := e.event.Ask(e.step, func() *url.URL { return out.URL }, e.resend); parent != "" {
		out.Header["Traceparent"] = []string{parent}
	}
	if e.body, _ = out.Body.(*requestBody); e.body != nil {
		e.body.e = e
	}
	resp, err := e.pool.transport(e.upgrading).RoundTrip(out)
	e.interim.close()
	if err == nil {
		err = e.check(resp)
	}
	if e.early.Load() || e.refused() {
		err = &Error{Kind: ConnectionTerminated, Target: e.target.name, Err: errEarly}
	}
	if err == nil {
		return resp, nil
	}
	if resp != nil {
		_ = resp.Body.Close() // the exchange has failed already
	}
	return nil, e.fail(err, awaiting)
}

// check refuses a response that must not be passed on.
func (e *exchange) check(resp *http.Response) error {
	if err := checkResponse(resp); err != nil {
		return &Error{Kind: ProtocolError, Target: e.target.name, Err: err}
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		_, writable := resp.Body.(readWriteCloser)
		return checkUpgrade(resp, e.upgrading, e.target.name, writable)
	}
	return nil
}

// checkUpgrade lets only the change of protocol through that was asked for (RFC 9110 §7.8).
func checkUpgrade(resp *http.Response, asked, target string, writable bool) error {
	got := resp.Header.Get("Upgrade")
	switch {
	case asked == "":
		return &Error{Kind: UpgradeFailed, Target: target, Err: errors.New("101 to a request that asked for no upgrade")}
	case !strings.EqualFold(got, asked):
		return &Error{Kind: UpgradeFailed, Target: target, Err: fmt.Errorf("asked to upgrade to %q, got %q", asked, got)}
	case !writable:
		return &Error{Kind: UpgradeFailed, Target: target, Err: errors.New("101 without Connection: Upgrade")}
	}
	return nil
}

func (e *exchange) gotConn(info httptrace.GotConnInfo) {
	if e.reach != nil {
		e.reach.Stop()
	}
	if e.pool.config.Protocol == ProtocolH2C {
		return
	}
	c := h1Conn(info.Conn)
	e.plain.Store(c)
	e.heard.Store(false)
	e.waited.Store(c != nil && (c.stocked || info.Reused))
	if c != nil {
		c.take(e, e.body != nil)
	}
}

// putIdle is called between the last read of this exchange and the next from its connection.
func (e *exchange) putIdle(err error) {
	if c := e.plain.Load(); c != nil && err == nil {
		c.release(e)
	}
}

// refused reports whether the connection would not take the request, of which not a byte has left then.
func (e *exchange) refused() bool {
	c := e.plain.Load()
	return c != nil && c.refused()
}

// untouched reports whether neither the target nor the client has noticed anything of this exchange.
func (e *exchange) untouched() bool {
	return e.refused() && (e.body == nil || !e.body.touched.Load())
}

// gotFirstByte is called when there is a byte of the response. A byte that was there before the request belongs to nobody: it is left over
// from the response before, or was sent unasked, and taking it for an answer would give one client what is another's.
func (e *exchange) gotFirstByte() {
	e.heard.Store(true)
	c := e.plain.Load()
	if c == nil {
		return
	}
	c.handover.first()
	if !c.answered() {
		e.early.Store(true)
		c.handover.forbid() // the transport may still put it with the idle ones
		_ = c.Close()       // the error that matters is errEarly
	}
}

// got100 is called before the body may go, which got1xx is not.
func (e *exchange) got100() {
	e.continued.Store(true)
	e.goneOn()
}

// goneOn says that the response that began was an interim one.
func (e *exchange) goneOn() {
	if c := e.plain.Load(); c != nil {
		c.handover.interim()
	}
	select {
	case e.moved <- struct{}{}:
	default:
	}
}

func (e *exchange) got1xx(status int, h textproto.MIMEHeader) error {
	if e.early.Load() {
		return errEarly
	}
	if status != http.StatusSwitchingProtocols {
		e.goneOn()
	}
	return e.interim.got(status, http.Header(h))
}

// mayHandOver waits until the body may be read for the target. The client that expects a 100 keeps its body where the target answers without:
// the transport would send it all the same, in the place of the next request (RFC 9110 §10.1.1). Then it waits for the end of the exchange,
// because its error would break off the response.
func (e *exchange) mayHandOver(expects bool) error {
	c := e.plain.Load()
	if c == nil {
		return nil
	}
	if c.refused() {
		return errEarly
	}
	for expects && !e.continued.Load() && c.handover.answered() {
		select {
		case <-e.moved:
		case <-e.ctx.Done():
			return context.Cause(e.ctx)
		}
	}
	return nil
}

// stale reports whether the failure is the connection's own, which had gone bad while it was idle, rather than the target's answer to this request.
func (e *exchange) stale(err error) bool {
	var own *Error
	if !errors.As(err, &own) || own.Kind != ConnectionTerminated {
		return false
	}
	return e.early.Load() || errors.Is(err, errEarly) || e.waited.Load() && !e.heard.Load()
}

type interimKey struct{}

// WithInterim returns a context that has interim responses delivered to f as they come: 103 and others, but not 100 and 101.
// f is called while RoundTrip runs, never after it has returned, and may keep the header.
func WithInterim(ctx context.Context, f func(status int, h http.Header)) context.Context {
	return context.WithValue(ctx, interimKey{}, f)
}

// interim hands interim responses on. The transport reads them in a goroutine of its own, which may still be at it when RoundTrip
// returns because its caller went away; the lock keeps deliver from being called then.
type interim struct {
	mu      sync.Mutex
	deliver func(status int, h http.Header)
	count   int
	closed  bool
}

func (i *interim) got(status int, h http.Header) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.count++; i.count > maxInterim {
		return &Error{Kind: ProtocolError, Err: errInterim}
	}
	if i.closed || i.deliver == nil || status == http.StatusContinue {
		return nil
	}
	own := h.Clone()
	if err := checkFields(own); err != nil {
		return &Error{Kind: ProtocolError, Err: err}
	}
	strip(own)
	delete(own, "Content-Length")
	i.deliver(status, own)
	return nil
}

func (i *interim) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
}
