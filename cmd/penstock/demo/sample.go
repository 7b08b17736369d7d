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

// Sample holds the figures of one measurement.
type Sample struct {
	Median, P99 time.Duration // from the request to the last byte of the response
	Calls       int64         // requests that reached an origin
	Bytes       int64         // on the wire, to the client or from the origin, depending on the row
	Answered    int           // requests with a successful response
	Asked       int
	Bodies      int         // number of different bodies among the responses
	Statuses    map[int]int // responses by status code
	Micros      int64       // the cost in millionths of a dollar, if the row is about cost
}

// ask is one request of a burst.
type ask struct {
	path   string
	header http.Header
}

// same returns n copies of one request.
func same(n int, path string, header http.Header) []ask {
	return slices.Repeat([]ask{{path, header}}, n)
}

// answer is the result of an ask.
type answer struct {
	took   time.Duration
	status int
	body   [sha256.Size]byte
	err    error
}

func (a *answer) good() bool { return a.err == nil && a.status >= 200 && a.status < 400 }

// client sends requests to one server over persistent connections and counts the bytes it receives.
type client struct {
	base      string
	transport *http.Transport
	received  atomic.Int64
}

func newClient(base string) *client {
	c := &client{base: base}
	dialer := new(net.Dialer)
	c.transport = &http.Transport{
		DisableCompression:  true, // the accepted codings are part of the measurement
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

// all sends the asks over the given number of connections. Each connection sends one request at a
// time.
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

// header requests one path and returns the status and header of the response.
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

// summary adds up the answers.
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

// quantile returns the smallest value that is at least as large as the share q of all values, or 0
// if values is empty.
func quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var none T
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
