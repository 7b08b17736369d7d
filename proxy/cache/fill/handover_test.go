package fill

import (
	"context"
	"io"
	"net/http"
	"testing"
)

func TestHandover(t *testing.T) {
	closed := 0
	reply := func() *Reply { return &Reply{Response: &http.Response{Body: &closing{&closed}}} }
	h := NewHandover()
	h.Tell(103, nil)
	first := reply()
	h.Give(first)
	h.Give(reply()) // one too many
	told := 0
	if got := h.Wait(t.Context(), func(int, http.Header) { told++ }); got != first || told != 1 || closed != 1 {
		t.Errorf("got %p, told %d, closed %d", got, told, closed)
	}
	h = NewHandover()
	gone, leave := context.WithCancel(t.Context())
	leave()
	if h.Wait(gone, nil) != nil {
		t.Error("a client that had gone got a reply")
	}
	h.Give(reply())
	if closed != 2 {
		t.Error("a response that no request takes was not closed")
	}
	for range 2 * maxInterim {
		h.Tell(103, nil) // never waits
	}
}

type closing struct{ n *int }

func (c *closing) Read([]byte) (int, error) { return 0, io.EOF }
func (c *closing) Close() error             { *c.n++; return nil }
