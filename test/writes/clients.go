package writes

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Clients write numbers to paths, each path in the order 0, 1, 2 …; a number follows when the one before was acknowledged.
type Clients struct {
	Paths  int
	Each   int           // writes to a path
	Target func() string // URL of a gateway that should be there; it may not be

	acknowledged atomic.Int64
	repeated     atomic.Int64
	mu           sync.Mutex
	locations    []string
	client       *http.Client
}

// Run writes all of it, or until ctx ends.
func (c *Clients) Run(ctx context.Context) error {
	transport := &http.Transport{MaxIdleConnsPerHost: c.Paths}
	defer transport.CloseIdleConnections()
	c.client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	var running sync.WaitGroup
	errs := make(chan error, c.Paths)
	for p := range c.Paths {
		running.Go(func() {
			for n := range c.Each {
				if err := c.write(ctx, p, n); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	running.Wait()
	close(errs)
	return <-errs
}

// Path is the p-th.
func Path(p int) string { return fmt.Sprintf("/items/%d", p) }

// write repeats one write with the same Idempotency-Key until it is acknowledged.
func (c *Clients) write(ctx context.Context, p, n int) error {
	for {
		location, err := c.try(ctx, p, n)
		if err != nil {
			return err
		}
		if location != "" {
			c.acknowledged.Add(1)
			c.mu.Lock()
			c.locations = append(c.locations, location)
			c.mu.Unlock()
			return nil
		}
		c.repeated.Add(1)
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// try is empty where the write was not acknowledged and may be repeated.
func (c *Clients) try(ctx context.Context, p, n int) (location string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.Target()+Path(p), strings.NewReader(strconv.Itoa(n)))
	if err != nil {
		return "", err
	}
	req.Host = "writes.test"
	req.Header.Set("Idempotency-Key", fmt.Sprintf("%d-%d", p, n))
	resp, err := c.client.Do(req)
	if err != nil {
		return "", nil
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusAccepted:
		return resp.Header.Get("Location"), nil
	case http.StatusServiceUnavailable:
		return "", nil
	}
	return "", fmt.Errorf("a write is answered %s", resp.Status)
}
