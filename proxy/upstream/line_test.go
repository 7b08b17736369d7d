package upstream

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A target that has closed all of its connections costs a request one more try, be they ever so many.
func TestManyDeadLines(t *testing.T) {
	const n = 20
	var arrived sync.WaitGroup
	arrived.Add(n)
	s := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/together" {
			arrived.Done()
			arrived.Wait()
		}
		io.Copy(w, r.Body)
	})
	p := newPool(t, to(s.URL))
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			resp, err := p.RoundTrip(request("GET", "/together", nil))
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
	}
	all.Wait()
	lines := p.targets[0].idle
	if got, _ := lines.Count(); got != n {
		t.Fatalf("%d idle connections, want %d", got, n)
	}
	s.CloseClientConnections()
	eventually(t, "the end of the connections arrives", func() bool {
		_, usable := lines.Count()
		return usable == 0
	})
	r, ev := withEvent(post(strings.NewReader("mine"), 4)) // which can't be sent twice
	if _, got := do(t, p, r); got != "mine" || ev.Tries > 2 {
		t.Errorf("%q after %d tries", got, ev.Tries)
	}
	if got, _ := lines.Count(); got > 1 {
		t.Errorf("%d idle connections are left", got)
	}
}

func TestIdleLinesAreClosed(t *testing.T) {
	s := answering(t, okResponse)
	c := to(s.url)
	c.Limits.IdleTimeout = 10 * time.Millisecond
	p := newPool(t, c)
	do(t, p, request("GET", "/", nil))
	eventually(t, "the connection is closed", func() bool { return p.targets[0].endpoint.Open.Load() == 0 })
}
