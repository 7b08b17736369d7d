package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/rawjson"
)

// whole is what came for a call.
type whole struct {
	status   int
	header   http.Header
	body     []byte
	elements map[string][]byte // by id; nil: the answer is none
	err      error             // why there is no answer
}

// again reports whether it is worth asking for each member alone.
func (w *whole) again() bool {
	return w.elements == nil && w.status != http.StatusTooManyRequests && w.status != http.StatusServiceUnavailable && !overloaded(w.err)
}

// overloaded reports whether the origin has no room: more calls would take what is left of it.
func overloaded(err error) bool {
	var status interface{ Status() int }
	return errors.As(err, &status) && status.Status() == http.StatusServiceUnavailable
}

// run makes the call and gives each member its own.
func (l *Loader) run(c *call) {
	defer l.landed(c)
	slots := c.slots
	defer rescue(slots)
	ctx := context.WithValue(c.ctx, membersKey{}, c.named)
	begun := l.now()
	slots = l.wanted(slots)
	if len(slots) == 0 {
		return
	}
	w := l.fetch(ctx, c.group, slots)
	if len(slots) > 1 && w.again() && c.ctx.Err() == nil {
		l.observe(len(slots), Retried, begun)
		l.oneByOne(ctx, c, slots)
		return
	}
	l.deal(slots, w, begun)
}

// oneByOne asks for each member alone.
func (l *Loader) oneByOne(ctx context.Context, c *call, slots []*slot) {
	var calls sync.WaitGroup
	defer calls.Wait()
	room := make(chan struct{}, singles)
	for _, s := range slots {
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			alone := []*slot{s}
			defer rescue(alone)
			begun := l.now()
			if ctx.Err() == nil && len(l.wanted(alone)) == 1 {
				l.deal(alone, l.fetch(ctx, c.group, alone), begun)
			}
		})
	}
}

// deal gives each slot what came for it.
func (l *Loader) deal(slots []*slot, w *whole, begun time.Time) {
	outcome := Complete
	if w.elements == nil {
		outcome = Failed
	}
	l.observe(len(slots), outcome, begun)
	for _, s := range slots {
		switch element, ok := w.elements[s.id]; {
		case w.err != nil:
			s.err = w.err
		case w.elements == nil:
			s.result = l.failure(w, len(slots) == 1)
		case ok:
			s.result = l.found(w, element)
		default:
			s.result = l.missing(w)
		}
		close(s.done)
	}
}

// rescue answers those who wait for a call that panicked.
func rescue(slots []*slot) {
	p := recover()
	for _, s := range slots {
		select {
		case <-s.done:
		default:
			if s.err = fmt.Errorf("nobody waits any longer: %w", context.Canceled); p != nil {
				s.err = fmt.Errorf("a batch panicked: %v", p)
			}
			close(s.done)
		}
	}
}

// fetch asks for the slots' ids.
func (l *Loader) fetch(ctx context.Context, g *group, slots []*slot) *whole {
	ids := make([]string, len(slots))
	for i, s := range slots {
		ids[i] = s.escaped
	}
	u, err := target(g.before, ids, g.after)
	if err != nil {
		return &whole{err: &Error{"http_request_error", err}}
	}
	req := &http.Request{
		Method: http.MethodGet, URL: u, Host: g.host, Header: g.header.Clone(), Body: http.NoBody, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	resp, err := l.Origin.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return &whole{err: err}
	}
	defer resp.Body.Close()
	w := &whole{status: resp.StatusCode, header: resp.Header}
	w.body, err = io.ReadAll(io.LimitReader(resp.Body, l.MaxBody+1))
	switch {
	case int64(len(w.body)) > l.MaxBody:
		w.err = &Error{"http_response_body_size", fmt.Errorf("it is larger than %d bytes", l.MaxBody)}
	case err != nil:
		w.err = &Error{"http_response_incomplete", err}
	case w.status >= 200 && w.status <= 299:
		if w.elements, err = l.split(w.body); err != nil {
			w.err = &Error{"http_protocol_error", err}
		}
	}
	return w
}

// split finds the elements by their ids. Of two with one id the first counts.
func (l *Loader) split(body []byte) (map[string][]byte, error) {
	if err := rawjson.Check(body); err != nil {
		return nil, fmt.Errorf("it is not JSON that can be taken on: %w", err)
	}
	items, ok := l.Items.Find(body)
	if !ok || rawjson.Kind(items) != '[' {
		return nil, fmt.Errorf("there is no array at %q", l.Items.String())
	}
	elements := make(map[string][]byte)
	for element := range rawjson.Elements(items) {
		value, ok := l.Key.Find(element)
		if !ok {
			continue
		}
		if id, ok := rawjson.Scalar(value); ok && elements[id] == nil {
			elements[id] = rawjson.Trim(element)
		}
	}
	return elements, nil
}

func (l *Loader) observe(size int, outcome Outcome, begun time.Time) {
	if l.Observe != nil {
		l.Observe(size, outcome, l.now().Sub(begun))
	}
}

func (l *Loader) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}
