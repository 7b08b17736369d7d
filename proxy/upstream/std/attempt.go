package std

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
	"github.com/penstock/penstock/proxy/upstream/link"
	"github.com/penstock/penstock/proxy/upstream/send"
)

// attempt is one request and its response on their way, from the choice of a target to the end of
// the body. It owns the context, the timers and the slot, and gives all of them back exactly once.
type attempt struct {
	sender *Sender
	slot   *send.Slot
	bounds send.Timeouts
	caller context.Context
	method string
	ctx    context.Context
	cancel context.CancelCauseFunc
	total  *time.Timer
	reach  *time.Timer
	first  firstByte
	ended  atomic.Bool

	answered atomic.Bool // there is a response: the attempt ends with its body

	turn      link.Turn
	conn      atomic.Pointer[link.Conn] // the HTTP/1.1 connection in use, nil over HTTP/2
	early     atomic.Bool               // the response was there before the request
	connected atomic.Bool               // it has a connection
	heard     atomic.Bool               // something of a response has come
	secure    atomic.Pointer[link.HTTP1Over]
	session   atomic.Pointer[session] // the HTTP/2 connection in use; nil: there is no connection yet, or it is net/http's own
	avoid     *session                // the connection that refused the request before; nil: there was no such connection
	waited    atomic.Bool             // the connection had been open and idle before this request
	interim   send.Interim
	upgrading string
	parent    string // the Traceparent to send; "": the request's own

	body      *requestBody  // nil: the request has no body
	held      *held         // the source of body; nil: the request has no body
	continued atomic.Bool   // the target has asked for the body with 100
	moved     chan struct{} // something of that kind has come
}

// newAttempt makes an attempt and starts its clocks.
func newAttempt(s *Sender, c send.Try) *attempt {
	e := &attempt{
		sender: s, slot: c.Slot, bounds: c.Bounds, caller: c.Request.Context(), method: c.Request.Method, upgrading: c.Upgrading, parent: c.Parent,
		moved: make(chan struct{}, 1),
	}
	e.ctx, e.cancel = context.WithCancelCause(e.caller)
	if total := e.bounds.Total; total > 0 {
		e.total = time.AfterFunc(total-time.Since(c.Started), func() {
			e.abort(fault.ResponseTimeout, fault.ErrTotal)
			e.end() // even if the client has stopped reading
		})
	}
	e.interim.DeliverTo(e.caller)
	return e
}

// abort ends the attempt with an *Error. Any goroutine that waits in the attempt gets it.
func (e *attempt) abort(k fault.Kind, err error) {
	e.cancel(&fault.Error{Kind: k, Target: e.sender.target.Name, Err: err})
}

// end gives back all that the attempt holds.
func (e *attempt) end() {
	if !e.ended.CompareAndSwap(false, true) {
		return
	}
	e.stopClocks()
	e.cancel(nil)
	if c := e.conn.Load(); c != nil {
		c.Release(&e.turn)
	}
	e.leaveSession()
	if e.answered.Load() {
		e.leave()
	}
	e.sender.client.left()
}

// leave gives back the slot and the body, which belong to the response. If there is no response,
// the next attempt needs them.
func (e *attempt) leave() {
	e.slot.Leave()
	if e.held != nil {
		e.held.close()
	}
}

func (e *attempt) stopClocks() {
	if e.total != nil {
		e.total.Stop()
	}
	if e.reach != nil {
		e.reach.Stop()
	}
}

// fail turns err into the caller's error: the cause of its own cancellation, or an *Error.
func (e *attempt) fail(err error, at fault.Phase) error {
	var own *fault.Error
	if errors.As(context.Cause(e.ctx), &own) {
		return own
	}
	if e.caller.Err() != nil {
		return context.Cause(e.caller)
	}
	if errors.As(err, &own) {
		return own
	}
	return &fault.Error{Kind: fault.Classify(err, at), Target: e.sender.target.Name, Err: err}
}

// run runs the request up to the header section of its response.
func (e *attempt) run(r *http.Request) (*http.Response, error) {
	if wait := e.sender.client.config.Wait; wait > 0 {
		e.reach = time.AfterFunc(wait, func() { e.abort(fault.PoolExhausted, fault.ErrReach) })
	}
	ctx := httptrace.WithClientTrace(e.ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { e.connected.Store(false) },
		GotConn:              e.gotConn,
		WroteRequest:         e.wroteRequest,
		GotFirstResponseByte: e.gotFirstByte,
		PutIdleConn:          e.putIdle,
		Got100Continue:       e.got100,
		Got1xxResponse:       e.got1xx,
	})
	out := e.sender.outgoing(ctx, r)
	if e.parent != "" {
		out.Header["Traceparent"] = []string{e.parent}
	}
	if e.body, _ = out.Body.(*requestBody); e.body != nil {
		e.body.attempt = e
		e.slot.Sends.Store(&e.body.wait)
		e.body.ReadCloser = e.held.open()
	}
	resp, err := e.carry(out)
	e.first.stop(true)
	e.interim.Close()
	if err == nil {
		err = e.check(resp)
	}
	if e.early.Load() || e.refused() {
		err = &fault.Error{Kind: fault.ConnectionTerminated, Target: e.sender.target.Name, Err: fault.ErrEarly}
	}
	if err == nil {
		return resp, nil
	}
	if resp != nil {
		_ = resp.Body.Close() // the attempt has failed already
	}
	return nil, e.fail(err, fault.Awaiting)
}

// carry sends out over an HTTP/2 connection, or leaves it to net/http's transport, which speaks
// HTTP/1.1 then.
func (e *attempt) carry(out *http.Request) (*http.Response, error) {
	s := e.sender.sessions
	if s == nil || s.http1.Load() || e.upgrading != "" && e.sender.client.config.HTTP1 {
		return e.sender.client.transport(e.upgrading).RoundTrip(out)
	}
	c, err := s.take(e.ctx, e.avoid)
	if err == nil {
		if e.session.Store(c); e.ended.Load() {
			e.leaveSession() // its total time has passed meanwhile
		}
		e.gotConn(httptrace.GotConnInfo{})
		return c.cc.RoundTrip(out)
	}
	var old *choseHTTP1
	if !errors.As(err, &old) {
		hop.CloseBody(out)
		return nil, err
	}
	if old.conn == nil {
		return e.sender.client.Main.RoundTrip(out)
	}
	ctx, spare := withConn(out.Context(), old.conn)
	resp, err := e.sender.client.Main.RoundTrip(out.WithContext(ctx))
	if nc := spare.take(); nc != nil {
		_ = nc.Close() // the transport had another one
	}
	return resp, err
}

// leaveSession gives the stream back, once.
func (e *attempt) leaveSession() {
	if c := e.session.Swap(nil); c != nil {
		c.release()
	}
}

// check refuses a response that must not be passed on.
func (e *attempt) check(resp *http.Response) error {
	err := hop.CheckResponse(resp)
	if err == nil {
		err = checkLength(resp, e.method)
	}
	if s := e.secure.Load(); err == nil && s != nil && s.Doubtful() && hop.BodyAllowed(e.method, resp.StatusCode) {
		err = fault.ErrFraming
	}
	if err != nil {
		return &fault.Error{Kind: fault.ProtocolError, Target: e.sender.target.Name, Err: err}
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		_, writable := resp.Body.(io.ReadWriteCloser)
		return hop.CheckUpgrade(resp, e.upgrading, e.sender.target.Name, writable)
	}
	return nil
}

// firstByte is the wait for the response's header section, which begins when the request is sent.
type firstByte struct {
	mu    sync.Mutex
	timer *time.Timer
	over  bool // there is a response, or there will be no response
}

func (f *firstByte) start(wait time.Duration, late func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over && f.timer == nil {
		f.timer = time.AfterFunc(wait, late)
	}
}

func (f *firstByte) stop(over bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over = over; f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
}

func (e *attempt) wroteRequest(info httptrace.WroteRequestInfo) {
	if wait := e.bounds.FirstByte; wait > 0 && info.Err == nil {
		e.first.start(wait, func() { e.abort(fault.ResponseTimeout, fault.ErrFirstByte) })
	}
}

func (e *attempt) gotConn(info httptrace.GotConnInfo) {
	e.connected.Store(true)
	e.first.stop(false)
	if e.reach != nil {
		e.reach.Stop()
	}
	if e.sender.client.config.H2C {
		return
	}
	s, _ := info.Conn.(*link.HTTP1Over)
	if s != nil {
		s.Begin()
	}
	e.secure.Store(s)
	c := link.HTTP1(info.Conn)
	e.conn.Store(c)
	e.heard.Store(false)
	e.waited.Store(c != nil && (c.DialledAhead || info.Reused))
	if c != nil {
		c.Take(&e.turn, e.body != nil)
	}
}

// putIdle is called between the last read of this attempt and the next use of the connection.
func (e *attempt) putIdle(err error) {
	if c := e.conn.Load(); c != nil && err == nil {
		c.Release(&e.turn)
	}
}

// refused reports whether the connection would not take the request, of which not a byte has left
// then.
func (e *attempt) refused() bool {
	c := e.conn.Load()
	return c != nil && c.Refused()
}

// untouched reports whether the attempt has left no trace at the target or at the client.
func (e *attempt) untouched() bool { return e.refused() && e.intact() }

// intact reports whether nothing of the client's body was read.
func (e *attempt) intact() bool { return e.body == nil || !e.body.touched.Load() }

// unsent reports whether the attempt got no connection, so that nothing of it was sent.
func (e *attempt) unsent() bool { return !e.connected.Load() }

// gotFirstByte is called when the first byte of a response is there. If the byte arrived before the
// request was written, it answers no request: it is left over from the previous response, or was
// sent unasked. Passing it on would give one client the data of another.
func (e *attempt) gotFirstByte() {
	e.heard.Store(true)
	c := e.conn.Load()
	if c == nil {
		return
	}
	c.Overlap.ResponseBegan()
	if !c.Answered() {
		e.early.Store(true)
		c.Overlap.Forbid() // the transport may still put it with the idle ones
		_ = c.Close()      // the error that matters is fault.ErrEarly
	}
}

// got100 is called before the body may go, which got1xx is not.
func (e *attempt) got100() {
	e.continued.Store(true)
	e.goneOn()
}

// goneOn says that the response that began was an interim one.
func (e *attempt) goneOn() {
	if c := e.conn.Load(); c != nil {
		c.Overlap.WasInterim()
	}
	select {
	case e.moved <- struct{}{}:
	default:
	}
}

func (e *attempt) got1xx(status int, h textproto.MIMEHeader) error {
	if e.early.Load() {
		return fault.ErrEarly
	}
	if status != http.StatusSwitchingProtocols {
		e.goneOn()
	}
	return e.interim.Got(status, http.Header(h))
}

// mayHandOver waits until the target may have the body. If a client expects a 100 and the target
// answers without one, the client keeps its body: the transport would send it all the same, in the
// place of the next request (RFC 9110 §10.1.1). The Read then waits for the end of the attempt,
// because an error would break off the response.
func (e *attempt) mayHandOver(expects bool) error {
	c := e.conn.Load()
	if c == nil {
		return nil
	}
	if c.Refused() {
		return fault.ErrEarly
	}
	for expects && !e.continued.Load() && c.Overlap.Answered() {
		select {
		case <-e.moved:
		case <-e.ctx.Done():
			return context.Cause(e.ctx)
		}
	}
	return nil
}

// stale reports whether the failure is the connection's own, which had gone bad while it was idle,
// rather than the target's answer to this request.
func (e *attempt) stale(err error) bool {
	var own *fault.Error
	if !errors.As(err, &own) || own.Kind != fault.ConnectionTerminated {
		return false
	}
	return e.early.Load() || errors.Is(err, fault.ErrEarly) || e.waited.Load() && !e.heard.Load()
}
