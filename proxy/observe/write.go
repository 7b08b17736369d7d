package observe

import (
	"net/http"
	"time"
)

// Write describes the result of one attempt to apply a queued write.
type Write struct {
	ID     string
	Route  string
	Method string
	State  string // retrying, done or dead
	Status int    // of the upstream's answer; 0 without an answer
	Tries  int    // number of attempts with this one
	Took   time.Duration
	Waited time.Duration // since the write was accepted
	Header http.Header   // of the write, with its trace context
}

// WriteSink is a Sink that also receives attempts to apply writes. It must not keep its argument.
type WriteSink interface {
	Tried(w *Write)
}
