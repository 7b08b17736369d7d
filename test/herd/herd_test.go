package main

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	clients  = 300
	patience = 30 * time.Second
)

// gated is an origin whose two halves wait for the test's word.
type gated struct {
	t           *testing.T
	private     bool
	gates       atomic.Pointer[gates]
	calls, open atomic.Int64
	most        atomic.Int64 // calls that were there at once
	together    int64        // as many calls have to be there at once before any but the first is answered; 0: none
	reached     sync.Once
	enough      chan struct{} // closed when they are
	ahead       atomic.Int64  // how far the clock of the origin and the gateway is, in nanoseconds
}

func (o *gated) now() time.Time { return time.Now().Add(time.Duration(o.ahead.Load())) }

// gates hold the halves back until they are closed.
type gates struct{ first, second chan struct{} }

func newGated(t *testing.T) *gated {
	o := &gated{t: t, enough: make(chan struct{})}
	o.shut()
	return o
}

// shut holds the answers of the calls to come back.
func (o *gated) shut() *gates {
	g := &gates{make(chan struct{}), make(chan struct{})}
	o.gates.Store(g)
	return g
}

func (o *gated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := o.calls.Add(1)
	now := o.open.Add(1)
	defer o.open.Add(-1)
	for most := o.most.Load(); now > most && !o.most.CompareAndSwap(most, now); most = o.most.Load() {
	}
	if o.together > 0 && now >= o.together {
		o.reached.Do(func() { close(o.enough) })
	}
	g := o.gates.Load()
	if o.together > 0 && n > 1 {
		o.await(o.enough, "other calls at the same time")
	}
	o.await(g.first, "the first half")
	w.Header().Set("Date", o.now().UTC().Format(http.TimeFormat))
	w.Header().Set("Cache-Control", shareable)
	if o.private {
		w.Header().Set("Cache-Control", "private")
	}
	w.Write(half)
	w.(http.Flusher).Flush()
	o.await(g.second, "the second half")
	w.Write(half)
}

func (o *gated) await(gate <-chan struct{}, what string) {
	select {
	case <-gate:
	case <-time.After(patience):
		o.t.Errorf("the origin waited in vain for %s", what)
	}
}

// start runs a gateway before the origin.
func (o *gated) start() (url string) {
	o.t.Helper()
	originURL, stopOrigin, err := serve(o)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(stopOrigin)
	url, stop, err := startGateway(originURL, 2*clients, o.now)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(stop)
	return url
}

// crowd is clients that have all asked.
type crowd struct {
	t      *testing.T
	begun  atomic.Int64 // those that have the whole first half
	all    sync.WaitGroup
	wanted []byte
}

func ask(t *testing.T, url string, n int) *crowd {
	c := &crowd{t: t, wanted: slices.Concat(half, half)}
	for range n {
		c.all.Go(func() { c.one(url) })
	}
	return c
}

func (c *crowd) one(url string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, Timeout: 2 * patience}
	resp, err := client.Get(url)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer resp.Body.Close()
	body := make([]byte, len(half))
	if n, err := io.ReadFull(resp.Body, body); err != nil {
		c.t.Errorf("%s, broken off after %d bytes: %v", resp.Status, n, err)
		return
	}
	c.begun.Add(1)
	rest, err := io.ReadAll(resp.Body)
	if body = append(body, rest...); err != nil || resp.StatusCode != http.StatusOK || !bytes.Equal(body, c.wanted) {
		c.t.Errorf("%s, %d bytes of %d, %v", resp.Status, len(body), len(c.wanted), err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// TestHerd: one call for all, while nothing is stored and when what is stored has expired, and everybody has the first half before the
// origin may send the second.
func TestHerd(t *testing.T) {
	o := newGated(t)
	url := o.start() + "/shared"
	for round := range 2 {
		if round > 0 {
			o.ahead.Add(int64(lifetime + time.Second))
		}
		g := o.shut()
		before := o.calls.Load()
		c := ask(t, url, clients)
		eventually(t, "the origin is asked", func() bool { return o.calls.Load() > before })
		close(g.first)
		eventually(t, "all clients have the first half", func() bool { return c.begun.Load() == clients || t.Failed() })
		close(g.second)
		c.all.Wait()
		if n := o.calls.Load() - before; n != 1 {
			t.Errorf("round %d: the origin was asked %d times by %d clients", round, n, clients)
		}
	}
}

// TestHerdOnWhatIsNobodyElses: what may not be shared is not waited for either. No call but the first is answered before many are there at once.
func TestHerdOnWhatIsNobodyElses(t *testing.T) {
	o := newGated(t)
	o.private, o.together = true, clients/2
	g := o.gates.Load()
	close(g.first)
	close(g.second)
	ask(t, o.start()+"/private", clients).all.Wait()
	if n := o.calls.Load(); n != clients {
		t.Errorf("the origin was asked %d times by %d clients", n, clients)
	}
	t.Logf("%d calls at once", o.most.Load())
}
