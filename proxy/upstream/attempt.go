package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
	"github.com/penstock/penstock/proxy/upstream/send"
)

// RoundTrip sends r, whose URL path is canonical and whose Host is the client's, to one of the
// targets. It fills the upstream side of the Event in r's context. An error is an *Error or the
// cause of the cancellation of r's context. The body of a 101 is an io.ReadWriteCloser.
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
	var own *fault.Error
	if errors.As(err, &own) {
		ev.ProxyStatus = own.Kind.ProxyStatus()
	}
}

func (p *Pool) roundTrip(r *http.Request, ev *observe.Event) (*http.Response, error) {
	if err := refuse(r); err != nil {
		hop.CloseBody(r)
		return nil, err
	}
	r, err := p.gather(r)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	ev.Err, ev.ProxyStatus = nil, ""
	ev.OriginRequests++
	resp, err := p.attempt(r, ev, started)
	if err != nil {
		return nil, err
	}
	ev.FirstByte = time.Since(started)
	ev.UpstreamStatus = resp.StatusCode
	return resp, nil
}

// attempt sends r until there is a response or next gives up. It is the only loop of tries: it
// chooses a target, acquires a slot there, has the target's sender send r, notes the result for the
// target, and asks next whether another try follows.
func (p *Pool) attempt(r *http.Request, ev *observe.Event, started time.Time) (*http.Response, error) {
	a := attempts{pool: p, request: r, event: ev, before: ev.Tries, untried: len(p.targets)}
	a.call = send.Try{Request: r, Bounds: p.bounds(r.Context()), Started: started, Upgrading: hop.AskedUpgrade(r.Header), Replayable: replayable(r)}
	a.choose()
	for {
		resp, f := a.send()
		switch wait, what := a.next(resp, f); what {
		case done:
			a.answered(resp)
			return resp, nil
		case retry:
			if pause(r.Context(), wait) {
				a.call.Memory = f.Memory
				continue
			}
			return nil, a.giveUp(f)
		case otherTarget:
			a.failed(f)
			a.choose()
		default:
			return nil, a.giveUp(f)
		}
	}
}

// attempts is a request on its way from try to try.
type attempts struct {
	pool    *Pool
	request *http.Request
	event   *observe.Event
	before  int // the event's tries before this request

	call    send.Try
	target  *target
	began   time.Time // when target was chosen, by the pool's clock
	tries   int       // at target
	tried   []bool    // the targets that were tried in vain; nil: no target was
	untried int       // the number of the others, without target
}

// choose chooses the next target.
func (a *attempts) choose() {
	p := a.pool
	if a.target != nil && a.tried == nil {
		a.tried = make([]bool, len(p.targets))
	}
	if a.target != nil {
		a.tried[slices.Index(p.targets, a.target)] = true
	}
	a.began = p.now()
	a.target = p.targets[p.choose(a.request, a.tried, a.began)]
	a.event.Target = a.target.Name
	a.call.Slot, a.call.Memory = nil, nil
	a.tries = 0
	a.untried--
}

// send makes one try at the target, in the slot that the first try has acquired.
func (a *attempts) send() (*http.Response, send.Failure) {
	t, ev, r := a.target, a.event, a.request
	a.tries++
	if a.call.Slot == nil {
		place, err := t.slots.Enter(r.Context(), a.pool.config.Limits.Wait, a.call.Upgrading != "")
		if err != nil {
			return nil, send.Failure{Err: err, Unsent: true, Intact: true}
		}
		a.call.Slot = place
	}
	resend := ev.Tries - a.before
	ev.Tries++
	t.tries.Add(1)
	step := ev.Step(observe.StepUpstream, t.Name)
	a.call.Parent = ev.Ask(step, func() *url.URL { return t.Rebase(r.URL) }, resend)
	resp, f := t.sender.Send(a.call)
	if f.Err != nil {
		ev.EndStep(step, f.Err)
		if fault.IsNoFiles(f.Err) {
			t.unopened.Add(1)
		} else {
			t.failures.Add(1)
		}
		return nil, f
	}
	ev.Answered(step, resp.StatusCode)
	return resp, f
}

// next asks the function next what follows. If the client has left, the request is not tried again.
func (a *attempts) next(resp *http.Response, f send.Failure) (wait time.Duration, what again) {
	status := 0
	if resp != nil {
		status = resp.StatusCode
	} else if a.request.Context().Err() != nil {
		return 0, giveUp
	}
	return next(policy{replayable: a.call.Replayable}, f, status, a.tries, budget{targets: a.untried})
}

// answered notes a response.
func (a *attempts) answered(resp *http.Response) {
	t := a.target
	t.record.note(a.request.Context(), nil)
	t.health.note(outcomeOf(resp.StatusCode, nil, false), a.began, a.pool.now())
}

// failed notes that the tries at the target have failed, and gives the slot back.
func (a *attempts) failed(f send.Failure) {
	t := a.target
	if a.call.Slot != nil {
		a.call.Slot.Leave()
	}
	t.record.note(a.request.Context(), f.Err)
	t.health.note(outcomeOfFailure(f), a.began, a.pool.now())
}

// giveUp ends the request with f.
func (a *attempts) giveUp(f send.Failure) error {
	a.call.Memory = f.Memory
	if f.Intact {
		hop.CloseBody(a.request)
	} else {
		a.target.sender.Abandon(a.call)
	}
	a.failed(f)
	return f.Err
}

// refuse rejects requests that must never be forwarded.
func refuse(r *http.Request) error {
	switch {
	case r.Method == http.MethodConnect:
		// Over HTTP/1.1 the transport would write the body of a CONNECT without framing: the next
		// user's response could be anything.
		return &fault.Error{Kind: fault.RequestDenied, Err: errors.New("CONNECT is not forwarded")}
	case hop.Passes(r.Header) >= hop.MaxPasses:
		return &fault.Error{Kind: fault.LoopDetected, Err: fmt.Errorf("the request has passed %d gateways of this name; look for a target that leads back here", hop.MaxPasses)}
	}
	return nil
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

// pause waits, and reports whether ctx did not end meanwhile.
func pause(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
