package std

import (
	"io"
	"net/http"
	"time"

	"github.com/penstock/penstock/proxy/upstream/hop"
	"github.com/penstock/penstock/proxy/upstream/link"
	"github.com/penstock/penstock/proxy/upstream/send"
)

// Sender sends to a target through net/http.
type Sender struct {
	client   *Client
	target   *hop.Target
	endpoint *link.Endpoint
	sessions *sessions // HTTP/2 connections; nil: HTTP/1.1 alone is spoken
}

var _ send.Sender = (*Sender)(nil)

// memory is kept by a Sender between the tries of a request.
type memory struct {
	body  *held    // nil: the request has no body
	avoid *session // the connection of the last try; nil: there was no connection, or it was net/http's own
}

// Send makes one try of c.
func (s *Sender) Send(c send.Try) (*http.Response, send.Failure) {
	e := newAttempt(s, c)
	if m, ok := c.Memory.(*memory); ok {
		e.held, e.avoid = m.body, m.avoid
	} else if b := hop.BodyOf(c.Request); b != nil {
		e.held = hold(b)
	}
	resp, err := e.run(c.Request)
	if err == nil {
		e.receive(resp)
		return resp, send.Failure{}
	}
	memory := &memory{body: e.held, avoid: e.session.Load()}
	e.end()
	if e.held != nil {
		e.held.stop()
	}
	return nil, e.failure(err, memory)
}

// failure describes an attempt that ended with err.
func (e *attempt) failure(err error, memory *memory) send.Failure {
	f := send.Failure{
		Err: err, Stale: e.stale(err), Early: e.early.Load(), Intact: e.intact(), Unprocessed: unprocessed(err), Untouched: e.untouched(),
		Resendable: e.held == nil || e.held.whole(), StreamReset: memory.avoid != nil && peerProtocolError(err), Memory: memory,
	}
	f.Unsent = e.unsent() || f.Unprocessed && f.Intact
	return f
}

// Abandon closes the body of c.
func (s *Sender) Abandon(c send.Try) {
	if m, ok := c.Memory.(*memory); ok && m.body != nil {
		m.body.close()
	}
}

// receive makes resp the caller's: fields of this hop removed, body watched.
func (e *attempt) receive(resp *http.Response) {
	e.answered.Store(true)
	if e.ended.Load() {
		e.leave() // the total time has passed meanwhile
	}
	if e.held != nil {
		e.held.keepNoMore()
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		e.stopClocks()
		e.slot.Answered(time.Now(), false, true)
		protocol := resp.Header.Get("Upgrade")
		hop.Strip(resp.Header)
		hop.AskUpgrade(resp.Header, protocol)
		resp.Body = &upgradedConn{ReadWriteCloser: resp.Body.(io.ReadWriteCloser), attempt: e}
		return
	}
	hop.Strip(resp.Header)
	hop.AddVia(resp.Header, resp.ProtoMajor, resp.ProtoMinor)
	hop.CleanTrailer(resp.Trailer) // the announced names
	if !hop.BodyAllowed(e.method, resp.StatusCode) && resp.Body != http.NoBody {
		_ = resp.Body.Close() // HTTP/2 may send one all the same, or announce one with Content-Length
		resp.Body = http.NoBody
		if e.method != http.MethodHead {
			resp.ContentLength = 0
		}
	}
	if resp.Body == http.NoBody {
		e.end()
		return
	}
	stream := hop.Lasting(resp.Header)
	if stream {
		e.bounds.Idle = 0
	}
	e.slot.Answered(time.Now(), stream, false)
	resp.Body = newResponseBody(e, resp)
}
