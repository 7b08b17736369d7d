package field

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// release is a moment at which all clients that wait for one call are let go.
type release struct {
	name   string
	keys   string // further keys of the route
	gather bool   // all wait before the first call is answered
	answer func(n int64, w http.ResponseWriter, r *http.Request)
	most   int // calls that may reach the origin
	status int // that a waiting client may get beside 200
}

var fresh = Text("new", "Cache-Control", "max-age=60")

var releases = []release{
	{name: "the wait is over, and the origin answers in the end", keys: "coalesce: {wait: 400ms}", most: 3, answer: func(n int64, w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second)
		fresh(w, r)
	}},
	{name: "the wait is over, and the second call is quicker", keys: "coalesce: {wait: 400ms}", most: 3, answer: func(n int64, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			<-r.Context().Done()
			return
		}
		fresh(w, r)
	}},
	{name: "the wait is over, and the origin never answers", keys: "coalesce: {wait: 200ms}", most: 4, status: 503, answer: func(_ int64, _ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}},
	{name: "the leader's call breaks", gather: true, most: 1, status: 502, answer: func(int64, http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}},
	{name: "the origin answers 503", gather: true, most: 3, status: 503, answer: func(_ int64, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}},
	{name: "the origin answers 500 with no-store", gather: true, most: 3, status: 500, answer: func(_ int64, w http.ResponseWriter, r *http.Request) {
		Status(http.StatusInternalServerError, "Cache-Control", "no-store")(w, r)
	}},
	{name: "the first answer is an error, which only that request provokes", gather: true, most: 2, status: 500, answer: func(n int64, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		fresh(w, r)
	}},
	{name: "the origin fails and the route has an error page", gather: true, keys: "errors: [{status: [502, 503, 504], body: sorry, as: 503}]", most: 3, status: 503, answer: func(int64, http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}},
	{name: "the origin answers 502 and the route has an error page", gather: true, keys: "errors: [{status: [502], body: sorry, as: 503}]", most: 3, status: 503, answer: func(_ int64, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
	}},
}

// TestWaitingClientsAreNotLetLooseTogether has 40 clients wait for one call. Whatever becomes of it, they must not all go to the origin at once.
func TestWaitingClientsAreNotLetLooseTogether(t *testing.T) {
	for _, r := range releases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			r.test(t)
		})
	}
}

func (r *release) test(t *testing.T) {
	const clients = 40
	var calls atomic.Int64
	gate := NewGate(t)
	o := NewOrigin(t, func(w http.ResponseWriter, req *http.Request) {
		n := calls.Add(1)
		if r.gather && n == 1 {
			gate.Wait()
		}
		r.answer(n, w, req)
	})
	g := Start(t, fmt.Sprintf("upstreams:\n  origin: {targets: [%q], timeouts: {first_byte: 9s}}\nroutes:\n  - name: all\n    match: {path: /*}\n    upstream: origin\n    cache: {enabled: true}\n    %s\n", o.URL, r.keys))
	var replies []<-chan *Response
	for range clients {
		replies = append(replies, g.Go("/"))
	}
	if r.gather {
		g.AwaitWaiting(clients - 1)
		gate.Open()
	}
	odd := 0 // answers that leaders may get
	for _, c := range replies {
		select {
		case got := <-c:
			if got.Err != nil || got.Status != http.StatusOK && got.Status != r.status {
				odd++
				t.Logf("a client gets %d %q, %v", got.Status, got.Body, got.Err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a client is not answered")
		}
	}
	n := int(calls.Load())
	if odd > n {
		t.Errorf("%d clients get something else than the new response", odd)
	}
	if n > r.most {
		t.Errorf("%d clients make %d calls; %d are enough", clients, n, r.most)
	}
}
