package send

import (
	"net/http"
	"time"
)

// Sender sends requests to one target. There are two: the one of package h1 speaks HTTP/1.1 itself, and
// the one of package std leaves it to net/http.
type Sender interface {
	// Send makes one try of c and returns when the header section of the response has arrived. If
	// the try fails, the Failure holds all facts that the loop decides by. The body of the response
	// ends the try and leaves c's slot.
	Send(c Try) (*http.Response, Failure)
	// Abandon says that no further try of c comes to this target, and that no other target needs
	// the request's body.
	Abandon(c Try)
}

// Try is one try of a request, as the loop hands it to a sender.
type Try struct {
	Request    *http.Request
	Slot       *Slot
	Bounds     Timeouts
	Started    time.Time // when the first try of the request began: the bound of the total time counts from there
	Upgrading  string    // the protocol that the client asks to change to; "": the request asks for no upgrade
	Parent     string    // the Traceparent to send; "": the request's own
	Replayable bool      // the request may be sent twice without harm
	Memory     any       // of the sender: Failure.Memory of the previous try at this target; nil: this is the first
}

// Failure is a try that came to no response.
type Failure struct {
	Err         error // an *Error, or the cause of the caller's cancellation
	Stale       bool  // the connection had gone bad while it was idle
	Early       bool  // the connection held bytes before the request was sent
	Unsent      bool  // nothing of the request was sent, or the target did not process it and nothing of its body was read
	Untouched   bool  // neither the target nor the client has noticed anything
	Intact      bool  // nothing of the request's body was read, and it is open
	Unprocessed bool  // the target said that it did not process the request
	Resendable  bool  // the request can be sent to the target again as it was: it has no body, or the body is held
	StreamReset bool  // the target ended the HTTP/2 stream with PROTOCOL_ERROR
	Memory      any   // of the sender, for its next try
}

// Timeouts bounds the waits of one request. Zero is no bound.
type Timeouts struct {
	Connect   time.Duration // TCP and TLS handshake
	FirstByte time.Duration // from the end of the request to the response's header section
	Idle      time.Duration // between two pieces of a body, in either direction; not within event streams and gRPC calls
	Total     time.Duration // the whole request, even if the client has stopped reading; it stops when the connection is upgraded
}
