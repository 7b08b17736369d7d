package cache

import (
	"context"
	"net/http"
	"sync"
)

// maxInterim is how many interim responses wait for a client to take them; more are dropped, as any recipient may (RFC 9110 §15.2).
const maxInterim = 16

// handover is where a fill leaves the reply for the client that leads it, and the interim responses that come before. The fill never waits
// for that client: one that is slow or has gone must not keep the others waiting. A nil handover is that of a refresh: nobody takes anything.
type handover struct {
	reply   chan *Reply  // holds the one
	interim chan interim // holds maxInterim

	mu   sync.Mutex
	over bool // the reply was given, or the client has left
}

// interim is a 1xx response on its way to the leader.
type interim struct {
	status int
	header http.Header
}

func newHandover() *handover {
	return &handover{reply: make(chan *Reply, 1), interim: make(chan interim, maxInterim)}
}

// give leaves reply for the client. Where there is none, or it has been given one already, reply is dropped.
func (h *handover) give(reply *Reply) {
	if h == nil {
		reply.drop()
		return
	}
	h.mu.Lock()
	over := h.over
	h.over = true
	if !over {
		h.reply <- reply // there is room for the first
	}
	h.mu.Unlock()
	if over {
		reply.drop()
	}
}

// tell leaves an interim response for the client.
func (h *handover) tell(status int, header http.Header) {
	if h == nil {
		return
	}
	select {
	case h.interim <- interim{status, header}:
	default:
	}
}

// wait hands interim responses to deliver until the reply is there, and returns that, or nil when ctx ends first.
func (h *handover) wait(ctx context.Context, deliver func(status int, h http.Header)) *Reply {
	for {
		select {
		case i := <-h.interim:
			deliver(i.status, i.header)
		case reply := <-h.reply:
			for len(h.interim) > 0 { // they came before it
				i := <-h.interim
				deliver(i.status, i.header)
			}
			return reply
		case <-ctx.Done():
			h.leave()
			return nil
		}
	}
}

// leave says that the client has gone.
func (h *handover) leave() {
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	select {
	case reply := <-h.reply:
		reply.drop()
	default:
	}
}
