package observe

import (
	"net/http"
	"time"
)

// Write is what became of one try to apply a write that was accepted before.
type Write struct {
	ID     string
	Route  string
	Method string
	State  string // retrying, done or dead
	Status int    // of the upstream's answer; 0: there was none
	Tries  int    // this one included
	Took   time.Duration
	Waited time.Duration // since it was accepted
	Header http.Header   // of the write, with the trace context that it came with
}

// WriteSink is a Sink that is told of tries as well. It must not keep what it is given.
type WriteSink interface {
	Tried(w *Write)
}
