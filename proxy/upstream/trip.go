package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/upstream/h1"
)

// trip is one request to a plain target that speaks HTTP/1.1, and its response, up to the end of the body. It runs in its caller's goroutine: the
// connection's deadline takes the place of timers, and the caller's own context is watched. Only a request's body has a goroutine of its own.
type trip struct {
	pool   *Pool
	target *target
	caller context.Context
	method string
	line   *line
	reader h1.Reader
	resp   http.Response
	body   tripBody
	asking []byte // the request, which the first read writes; nil: it is written

	unwatch   func() bool
	interim   interim
	upgrading string
	parent    string    // the Traceparent that the request is sent with; "": the one it has
	total     time.Time // when all must be over; zero: no bound
	sending   *sending  // the request's body; nil: none
	heard     bool      // something of a response has come
	untouched bool      // neither the target nor the client has noticed anything
	sampled   bool      // something of the response that is read now has come
	complete  bool      // before that the last write of the request had begun
	ended     atomic.Bool

	mu        sync.Mutex // guards what follows, and the line's read deadline
	awaitBy   time.Time  // when the response's header section must have come; zero: no bound, or none yet
	receiving bool       // the body is being read; only the reader writes it
	cause     error      // why the connection was closed from here
}

// tripTo sends r to tg and brings the response up to the end of its header section. A connection that proves stale is replaced as attempt says.
func (p *Pool) tripTo(r *http.Request, tg *target, ev *observe.Event, started time.Time) (*http.Response, error) {
	if err := tg.enter(r.Context(), p.config.Limits.Wait); err != nil {
		closeBody(r)
		return nil, err
	}
	for try := 1; ; try++ {
		ev.Tries++
		tg.tries.Add(1)
		step := ev.Step(observe.StepUpstream, tg.name)
		t := &trip{pool: p, target: tg, caller: r.Context(), method: r.Method, upgrading: askedUpgrade(r.Header)}
		if p.config.Timeouts.Total > 0 {
			t.total = started.Add(p.config.Timeouts.Total)
		}
		t.parent = ev.Ask(step, func() *url.URL { return tg.rebase(r.URL) }, try-1)
		err := t.run(r)
		if err == nil {
			ev.Answered(step, t.resp.StatusCode)
			return &t.resp, nil
		}
		stale, err := t.stale(err), t.fail(err, awaiting)
		ev.EndStep(step, err)
		tg.failures.Add(1)
		t.drop()
		if !t.again(stale, r, try) {
			tg.leave()
			if t.sending == nil {
				closeBody(r)
			}
			return nil, err
		}
	}
}

// again reports whether r may be sent anew after the given number of tries.
func (t *trip) again(stale bool, r *http.Request, tries int) bool {
	switch {
	case !stale || t.caller.Err() != nil:
		return false
	case t.untouched:
		return tries < maxTries
	}
	return tries == 1 && replayable(r)
}

// stale reports whether the failure is the connection's own, which had gone bad while it was idle.
func (t *trip) stale(err error) bool {
	return t.untouched || t.line != nil && t.line.kept && !t.heard && classify(err, awaiting) == ConnectionTerminated
}

// drop ends what failed before there was a response. The slot stays.
func (t *trip) drop() {
	t.ended.Store(true)
	if t.unwatch != nil {
		t.unwatch()
	}
	if t.line != nil {
		t.line.kill()
	}
	if t.sending != nil {
		t.sending.end()
	}
	t.reader.Release()
}

// run goes as far as the header section of the response.
func (t *trip) run(r *http.Request) error {
	if err := t.board(replayable(r)); err != nil {
		return err
	}
	if t.caller.Done() != nil {
		t.unwatch = context.AfterFunc(t.caller, t.line.kill)
	}
	head := heads.Get().(*[]byte)
	defer heads.Put(head)
	if err := t.depart(r, head); err != nil {
		return err
	}
	t.reader.Reset(t)
	framing, err := t.await()
	t.asking = nil
	if err != nil {
		return err
	}
	return t.arrive(framing)
}

// board takes a line. again says that the request may be sent anew should the line prove to be dead.
func (t *trip) board(again bool) error {
	now := time.Now()
	l := t.target.lines.take(now, again)
	if l == nil {
		var err error
		if l, err = t.open(); err != nil {
			return err
		}
	}
	t.line = l
	time.Sleep(l.rest(now))
	return nil
}

// refused says that the line takes no request, of which nothing was sent.
func (t *trip) refused() error {
	t.target.lines.prune(time.Now()) // where one has died, so have most
	t.untouched = true
	return &Error{Kind: ConnectionTerminated, Target: t.target.name, Err: errEarly}
}

// open makes a new line.
func (t *trip) open() (*line, error) {
	ctx := t.caller
	if !t.total.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, t.total, &Error{Kind: ResponseTimeout, Target: t.target.name, Err: errTotal})
		defer cancel()
	}
	c, err := t.pool.open(ctx, t.target)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	return newLine(c), nil
}

// depart sends the header section, and has the body sent. A request that is its header section alone is left to the first read, where that can be.
func (t *trip) depart(r *http.Request, head *[]byte) error {
	body := bodyOf(r)
	var err error
	if *head, err = t.pool.appendHead((*head)[:0], r, t.target, t.upgrading, t.parent, body); err != nil {
		return &Error{Kind: ProtocolError, Target: t.target.name, Err: err}
	}
	if body == nil && t.line.look.asks() {
		t.asking = *head
		t.await1st(time.Now())
		return nil
	}
	if !t.line.ready() {
		return t.refused()
	}
	if body != nil {
		t.sending = newSending(t, r, body)
	}
	if err := t.line.send(*head); err != nil {
		if body != nil {
			closeBody(r)
			close(t.sending.done)
		}
		return err
	}
	if body == nil {
		t.await1st(time.Now())
		return nil
	}
	go t.sending.run()
	return nil
}

// await reads header sections up to that of the final response.
func (t *trip) await() (h1.Framing, error) {
	for {
		framing, err := t.reader.ReadResponse(&t.resp, t.method, int(t.pool.config.MaxHeaderBytes))
		if err != nil {
			return framing, err
		}
		if t.resp.StatusCode >= 200 || t.resp.StatusCode == http.StatusSwitchingProtocols || t.resp.StatusCode < 100 {
			return framing, nil
		}
		if err := t.passOn(); err != nil {
			return framing, err
		}
		t.sampled = t.reader.Buffered() > 0 // what came along with it came when it did
	}
}

// passOn hands an interim response on.
func (t *trip) passOn() error {
	if t.resp.StatusCode == http.StatusContinue && t.sending != nil {
		t.sending.goOn()
	}
	if t.interim.count == 0 {
		t.interim.deliver, _ = t.caller.Value(interimKey{}).(func(int, http.Header))
	}
	return t.interim.got(t.resp.StatusCode, t.resp.Header)
}

// arrive makes the response the caller's: fields of this hop removed, body watched.
func (t *trip) arrive(framing h1.Framing) error {
	t.mu.Lock()
	t.awaitBy, t.receiving = time.Time{}, true
	t.mu.Unlock()
	if t.sending != nil {
		t.sending.answer()
	}
	resp := &t.resp
	switch {
	case resp.StatusCode < 100 || resp.StatusCode > 599:
		return &Error{Kind: ProtocolError, Target: t.target.name, Err: fmt.Errorf("invalid status code %d", resp.StatusCode)} // RFC 9110 §15
	case resp.StatusCode == http.StatusSwitchingProtocols:
		return t.upgrade()
	}
	strip(resp.Header)
	addVia(resp.Header, resp.ProtoMajor, resp.ProtoMinor)
	if framing == h1.NoBody {
		resp.Body = http.NoBody
		t.finish(true)
		t.reader.Release()
		return nil
	}
	t.body.trip, t.body.Body = t, t.reader.Body(resp, framing)
	resp.Body = &t.body
	return nil
}

// upgrade gives the connection to the caller, where the change of protocol is the one that was asked for.
func (t *trip) upgrade() error {
	resp := &t.resp
	writable := httpguts.HeaderValuesContainsToken(resp.Header["Connection"], "upgrade")
	if err := checkUpgrade(resp, t.upgrading, t.target.name, writable); err != nil {
		return err
	}
	if t.unwatch != nil && !t.unwatch() {
		return context.Cause(t.caller)
	}
	t.line.rearm(time.Time{})
	resp.Body = &tunnel{conn: t.line.conn, rest: t.reader.Rest(), end: func() { t.leave() }}
	t.reader.Release()
	return nil
}

// finish ends the trip, once. The line goes back where the next trip can use it: the response was read whole, nothing more has come, and the request
// was sent before it.
func (t *trip) finish(whole bool) {
	if !t.ended.CompareAndSwap(false, true) {
		return
	}
	undisturbed := t.unwatch == nil || t.unwatch()
	switch {
	case !whole || !undisturbed || !t.complete || t.resp.Close || t.reader.Buffered() > 0, t.sending != nil && !t.sending.settled():
		t.line.kill()
	default:
		t.target.lines.put(t.line, t.sending != nil, time.Now())
	}
	if t.sending != nil {
		t.sending.end()
	}
	t.leave()
}

// leave gives the slot back.
func (t *trip) leave() { t.target.leave() }

// abort closes the connection because of err, which whoever waits for the response is told.
func (t *trip) abort(err error) {
	t.mu.Lock()
	if t.cause == nil {
		t.cause = err
	}
	t.mu.Unlock()
	if !t.ended.Load() { // the line may be another's by then
		t.line.kill()
	}
}

// fail makes what is returned to the caller of err: the cause of its own cancellation, or an *Error.
func (t *trip) fail(err error, at phase) error {
	t.mu.Lock()
	cause := t.cause
	t.mu.Unlock()
	var own *Error
	switch {
	case cause != nil:
		err = cause
	case t.caller.Err() != nil:
		return context.Cause(t.caller)
	}
	if errors.As(err, &own) {
		if own.Target == "" {
			return &Error{Kind: own.Kind, Target: t.target.name, Err: own.Err}
		}
		return own
	}
	return &Error{Kind: classify(err, at), Target: t.target.name, Err: err}
}
