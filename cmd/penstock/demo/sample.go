package demo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Sample is what one way of asking came to.
type Sample struct {
	Median, P99 time.Duration // from the request to the last byte of the answer
	Calls       int64         // that reached an origin
	Bytes       int64         // on the wire, to the client or from the origin, as the row says
	Answered    int           // requests with a good answer
	Asked       int
	Bodies      int         // different contents among the answers
	Statuses    map[int]int // answers by status code
	Micros      int64       // millionths of a dollar that it cost, where the row is about that
}

// ask is one request of a burst.
type ask struct {
	path   string
	header http.Header
}

// same repeats one request.
func same(n int, path string, header http.Header) []ask {
	return slices.Repeat([]ask{{path, header}}, n)
}

// answer is what became of an ask.
type answer struct {
	took   time.Duration
	status int
	body   [sha256.Size]byte
	err    error
}

func (a *answer) good() bool { return a.err == nil && a.status >= 200 && a.status < 400 }

// client asks one server over connections that it keeps, and counts the bytes that come back.
type client struct {
	base      string
	transport *http.Transport
	received  atomic.Int64
}

func newClient(base string) *client {
	c := &client{base: base}
	dialer := new(net.Dialer)
	c.transport = &http.Transport{
		DisableCompression:  true, // what is accepted is part of the measurement
		MaxIdleConnsPerHost: herd,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &countingConn{Conn: nc, read: &c.received}, nil
		},
	}
	return c
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// warm opens n connections.
func (c *client) warm(ctx context.Context, n int) { c.all(ctx, n, same(n, "/ping", nil)) }

// all sends the asks over so many connections at once, each connection one after the other.
func (c *client) all(ctx context.Context, workers int, asks []ask) []answer {
	answers := make([]answer, len(asks))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, len(asks)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(asks)); i = next.Add(1) - 1 {
				answers[i] = c.one(ctx, asks[i])
			}
		})
	}
	wg.Wait()
	return answers
}

func (c *client) one(ctx context.Context, a ask) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+a.path, nil)
	if err != nil {
		return answer{err: err}
	}
	for name, values := range a.header {
		req.Header[name] = values
	}
	start := time.Now()
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, resp.Body)
	out := answer{took: time.Since(start), status: resp.StatusCode, err: err}
	sum.Sum(out.body[:0])
	return out
}

// header asks for one path and returns the answer's status and header.
func (c *client) header(ctx context.Context, path string, h http.Header) (int, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return 0, nil, err
	}
	for name, values := range h {
		req.Header[name] = values
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return 0, nil, fmt.Errorf("GET %s%s: %w", c.base, path, err)
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header, err
}

// summary adds answers up.
func summary(answers []answer) Sample {
	s := Sample{Asked: len(answers), Statuses: map[int]int{}}
	bodies := map[[sha256.Size]byte]bool{}
	var took []time.Duration
	for _, a := range answers {
		s.Statuses[a.status]++
		if a.good() {
			s.Answered++
			took = append(took, a.took)
			bodies[a.body] = true
		}
	}
	s.Bodies = len(bodies)
	s.Median, s.P99 = quantile(took, 0.5), quantile(took, 0.99)
	return s
}

// quantile is the smallest value that at least the share q of all do not exceed; 0 where there is none.
func quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var none T
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
