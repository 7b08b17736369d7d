package h1

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
	"github.com/penstock/penstock/proxy/upstream/link"
	"github.com/penstock/penstock/proxy/upstream/send"
)

// attempt is one request to a plain target that speaks HTTP/1.1, and its response, up to the end of
// the body. It runs in its caller's goroutine: the connection's deadline takes the place of timers,
// and the caller's own context is watched. Only a request's body has a goroutine of its own.
type attempt struct {
	sender    *Sender
	slot      *send.Slot
	bounds    send.Timeouts
	caller    context.Context
	method    string
	conn      *connection
	reader    Reader
	resp      http.Response
	respBody  responseBody
	unwritten []byte // the request, which the first read writes; nil: it is written

	unwatch     func() bool
	interim     send.Interim
	upgrading   string
	parent      string       // the Traceparent to send; "": the request keeps its own
	total       time.Time    // when all must be over; zero: no bound
	overdue     *time.Timer  // ends the attempt at that time, even if the client has stopped reading; nil: no bound
	body        *requestBody // the body of the request; nil if it has no body
	answerBegun bool         // something of a response has come
	untouched   bool         // neither the target nor the client has noticed anything
	noted       bool         // something of the response that is read now has come
	complete    bool         // before that the last write of the request had begun; see requestBody
	ended       atomic.Bool

	mu        sync.Mutex // guards the fields below and the read deadline of the connection
	headBy    time.Time  // when the header section of the response must be complete; zero: no bound, or the wait has not begun
	receiving bool       // the body is being read; only the reader writes it
	cause     error      // why the connection was closed from here
}

// Sender sends to a plain target that speaks HTTP/1.1.
type Sender struct {
	Target       *hop.Target
	Idle         *Idle
	Dial         func(ctx context.Context) (*link.Conn, error) // opens a connection, or takes one that was dialled ahead
	PreserveHost bool
	MaxHeader    int // bounds the header section of a response
}

var _ send.Sender = (*Sender)(nil)

// Send makes one try of c.
func (s *Sender) Send(c send.Try) (*http.Response, send.Failure) {
	t := &attempt{
		sender: s, slot: c.Slot, bounds: c.Bounds, caller: c.Request.Context(), method: c.Request.Method, upgrading: c.Upgrading,
		parent: c.Parent,
	}
	if c.Bounds.Total > 0 {
		t.total = c.Started.Add(c.Bounds.Total)
	}
	if err := t.run(c.Request, c.Replayable); err != nil {
		return nil, t.failure(err)
	}
	return &t.resp, send.Failure{}
}

// Abandon does nothing: once something of the request's body is sent, its goroutine closes it.
func (*Sender) Abandon(send.Try) {}

// failure ends an attempt that failed with err before a response, and describes the failure to the
// loop.
func (t *attempt) failure(err error) send.Failure {
	f := send.Failure{
		Err: t.fail(err, fault.Awaiting), Stale: t.stale(err), Untouched: t.untouched, Unsent: t.conn == nil || t.untouched, Intact: t.body == nil,
		Resendable: t.body == nil,
	}
	t.discard()
	return f
}

// stale reports whether the failure is the connection's own, which had gone bad while it was idle.
func (t *attempt) stale(err error) bool {
	return t.untouched || t.conn != nil && t.conn.reused && !t.answerBegun && fault.Classify(err, fault.Awaiting) == fault.ConnectionTerminated
}

// discard ends an attempt that failed before there was a response. It keeps the slot, because the
// loop may try again.
func (t *attempt) discard() {
	t.ended.Store(true)
	if t.unwatch != nil {
		t.unwatch()
	}
	if t.conn != nil {
		t.conn.kill()
	}
	if t.body != nil {
		t.body.end()
	}
	t.reader.Release()
}

// run goes as far as the header section of the response. again says that the request may be sent
// anew.
func (t *attempt) run(r *http.Request, again bool) error {
	if err := t.acquire(again); err != nil {
		return err
	}
	if t.caller.Done() != nil {
		t.unwatch = context.AfterFunc(t.caller, t.conn.kill)
	}
	head := heads.Get().(*[]byte)
	defer heads.Put(head)
	if err := t.writeRequest(r, head); err != nil {
		return err
	}
	t.reader.Reset(t)
	framing, err := t.readHead()
	t.unwritten = nil
	if err != nil {
		return err
	}
	return t.receive(framing)
}

// acquire takes a connection. again is true if the request may be sent again, so that a connection
// that may be dead will do.
func (t *attempt) acquire(again bool) error {
	now := time.Now()
	l := t.sender.Idle.take(now, again)
	if l == nil {
		var err error
		if l, err = t.dial(); err != nil {
			return err
		}
	}
	t.conn = l
	time.Sleep(l.rest(now))
	return nil
}

// refused is the error of a connection that took nothing of the request.
func (t *attempt) refused() error {
	t.sender.Idle.prune(time.Now()) // where one has died, so have most
	t.untouched = true
	return &fault.Error{Kind: fault.ConnectionTerminated, Target: t.sender.Target.Name, Err: fault.ErrEarly}
}

// dial opens a new connection.
func (t *attempt) dial() (*connection, error) {
	ctx := t.caller
	if !t.total.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, t.total, &fault.Error{Kind: fault.ResponseTimeout, Target: t.sender.Target.Name, Err: fault.ErrTotal})
		defer cancel()
	}
	c, err := t.sender.Dial(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	return newConnection(c), nil
}

// writeRequest sends the header section, and has the body sent. A request that is its header
// section alone is left to the first read, where that can be.
func (t *attempt) writeRequest(r *http.Request, head *[]byte) error {
	body := hop.BodyOf(r)
	var err error
	if *head, err = t.sender.appendHead((*head)[:0], r, t.upgrading, t.parent, body); err != nil {
		return &fault.Error{Kind: fault.ProtocolError, Target: t.sender.Target.Name, Err: err}
	}
	if body == nil && t.conn.probe.CanWrite() {
		t.unwritten = *head
		t.expectResponse(time.Now())
		return nil
	}
	if !t.conn.ready() {
		return t.refused()
	}
	if body != nil {
		t.body = newRequestBody(t, r, body)
	}
	if err := t.conn.write(*head); err != nil {
		if body != nil {
			hop.CloseBody(r)
			close(t.body.done)
		}
		return err
	}
	if body == nil {
		t.expectResponse(time.Now())
		return nil
	}
	go t.body.run()
	return nil
}

// readHead reads header sections up to that of the final response.
func (t *attempt) readHead() (Framing, error) {
	for {
		framing, err := t.reader.ReadResponse(&t.resp, t.method, t.sender.MaxHeader)
		if err != nil {
			return framing, err
		}
		if t.resp.StatusCode >= 200 || t.resp.StatusCode == http.StatusSwitchingProtocols || t.resp.StatusCode < 100 {
			return framing, nil
		}
		if err := t.passInterim(); err != nil {
			return framing, err
		}
		t.noted = t.reader.Buffered() > 0 // these bytes arrived together with the interim response
	}
}

// passInterim hands an interim response on.
func (t *attempt) passInterim() error {
	if t.resp.StatusCode == http.StatusContinue && t.body != nil {
		t.body.goOn()
	}
	if t.interim.Count == 0 {
		t.interim.DeliverTo(t.caller)
	}
	return t.interim.Got(t.resp.StatusCode, t.resp.Header)
}

// receive makes the response the caller's: fields of this hop removed, body watched.
func (t *attempt) receive(framing Framing) error {
	stream := hop.Lasting(t.resp.Header)
	if stream {
		t.bounds.Idle = 0
	}
	t.mu.Lock()
	t.headBy, t.receiving = time.Time{}, true
	t.mu.Unlock()
	if t.body != nil {
		t.body.answer()
	}
	resp := &t.resp
	switch {
	case resp.StatusCode < 100 || resp.StatusCode > 599:
		return &fault.Error{Kind: fault.ProtocolError, Target: t.sender.Target.Name, Err: fmt.Errorf("invalid status code %d", resp.StatusCode)} // RFC 9110 §15
	case resp.StatusCode == http.StatusSwitchingProtocols:
		return t.upgrade()
	}
	hop.Strip(resp.Header)
	hop.AddVia(resp.Header, resp.ProtoMajor, resp.ProtoMinor)
	hop.CleanTrailer(resp.Trailer) // the announced names
	if framing == NoBody {
		resp.Body = http.NoBody
		t.finish(true)
		t.reader.Release()
		return nil
	}
	t.respBody.attempt, t.respBody.Body = t, t.reader.Body(resp, framing)
	resp.Body = &t.respBody
	t.slot.Answered(time.Now(), stream, false)
	if !t.total.IsZero() {
		t.overdue = time.AfterFunc(time.Until(t.total), t.expire)
	}
	return nil
}

// expire ends an attempt when its total time is over. It does not wait for a Read: the client may
// have stopped reading.
func (t *attempt) expire() {
	t.mu.Lock()
	if t.cause == nil {
		t.cause = &fault.Error{Kind: fault.ResponseTimeout, Target: t.sender.Target.Name, Err: fault.ErrTotal}
	}
	t.mu.Unlock()
	t.leave() // before the reader can know
	t.finish(false)
}

// upgrade gives the connection to the caller if the target changes to the protocol that the client
// asked for.
func (t *attempt) upgrade() error {
	resp := &t.resp
	writable := httpguts.HeaderValuesContainsToken(resp.Header["Connection"], "upgrade")
	if err := hop.CheckUpgrade(resp, t.upgrading, t.sender.Target.Name, writable); err != nil {
		return err
	}
	if t.unwatch != nil && !t.unwatch() {
		return context.Cause(t.caller)
	}
	t.conn.setReadDeadline(time.Time{})
	t.slot.Answered(time.Now(), false, true)
	resp.Body = &tunnel{Conn: t.conn.Conn, rest: t.reader.Rest(), end: func() { t.leave() }}
	t.reader.Release()
	return nil
}

// finish ends the attempt, once. It keeps the connection for the next attempt if the response was
// read to its end, no more bytes have arrived, and the whole request was sent before the response
// began. If not, it closes the connection.
func (t *attempt) finish(whole bool) {
	if !t.ended.CompareAndSwap(false, true) {
		return
	}
	undisturbed := t.unwatch == nil || t.unwatch()
	if whole && t.overdue != nil {
		t.overdue.Stop() // if it has fired, it finds that the attempt has ended
	}
	switch {
	case !whole || !undisturbed || !t.complete || t.resp.Close || t.reader.Buffered() > 0, t.body != nil && !t.body.settled():
		t.conn.kill()
	default:
		t.sender.Idle.put(t.conn, t.body != nil, time.Now())
	}
	if t.body != nil {
		t.body.end()
	}
	t.leave()
}

// leave gives the slot back.
func (t *attempt) leave() { t.slot.Leave() }

// abort closes the connection because of err. The reader of the response gets err.
func (t *attempt) abort(err error) {
	t.mu.Lock()
	if t.cause == nil {
		t.cause = err
	}
	t.mu.Unlock()
	if !t.ended.Load() { // after that the connection may belong to another attempt
		t.conn.kill()
	}
}

// fail turns err into the caller's error: the cause of its own cancellation, or an *Error.
func (t *attempt) fail(err error, at fault.Phase) error {
	t.mu.Lock()
	cause := t.cause
	t.mu.Unlock()
	var own *fault.Error
	switch {
	case cause != nil:
		err = cause
	case t.caller.Err() != nil:
		return context.Cause(t.caller)
	}
	if errors.As(err, &own) {
		if own.Target == "" {
			return &fault.Error{Kind: own.Kind, Target: t.sender.Target.Name, Err: own.Err}
		}
		return own
	}
	return &fault.Error{Kind: fault.Classify(err, at), Target: t.sender.Target.Name, Err: err}
}
