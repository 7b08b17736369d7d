package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/rawjson"
)

// whole is the origin's response to a call.
type whole struct {
	status   int
	header   http.Header
	body     []byte
	elements map[string][]byte // by id; nil if the response has no list
	unclear  error             // why some element's id cannot be read; nil if all can
	err      error             // why there is no response
	misfit   bool              // true if the response is a success whose content is not a list
}

// again reports whether to retry each member alone.
func (w *whole) again() bool {
	return w.elements == nil && w.status != http.StatusTooManyRequests && w.status != http.StatusServiceUnavailable && !overloaded(w.err)
}

// overloaded reports whether the origin has no capacity: retries would take the rest of it.
func overloaded(err error) bool {
	var status interface{ Status() int }
	return errors.As(err, &status) && status.Status() == http.StatusServiceUnavailable
}

// run makes the call and gives each member its result.
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
	if len(slots) > 1 && w.again() && !(w.misfit && l.misfits.known(begun)) && c.ctx.Err() == nil {
		l.observe(len(slots), Retried, begun)
		if l.oneByOne(ctx, c, slots) == 0 && w.misfit && c.ctx.Err() == nil {
			l.misfits.note(l.now())
		}
		return
	}
	if again := l.deal(slots, w, begun); len(again) > 0 && c.ctx.Err() == nil {
		l.oneByOne(ctx, c, again)
	}
}

// oneByOne makes a call for each member alone. It returns how many responses were lists.
func (l *Loader) oneByOne(ctx context.Context, c *call, slots []*slot) (lists int64) {
	var calls sync.WaitGroup
	var listed atomic.Int64
	room := make(chan struct{}, singles)
	for _, s := range slots {
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			alone := []*slot{s}
			defer rescue(alone)
			begun := l.now()
			if ctx.Err() == nil && len(l.wanted(alone)) == 1 {
				w := l.fetch(ctx, c.group, alone)
				if w.elements != nil {
					listed.Add(1)
				}
				_ = l.deal(alone, w, begun) // a call for one slot leaves none
			}
		})
	}
	calls.Wait()
	return listed.Load()
}

// deal gives each slot its result. It returns the slots that must be retried alone, because the
// whole response does not tell which element is theirs.
func (l *Loader) deal(slots []*slot, w *whole, begun time.Time) (again []*slot) {
	outcome := Complete
	if w.elements == nil {
		outcome = Failed
	}
	l.observe(len(slots), outcome, begun)
	if w.unclear != nil && l.Refused != nil {
		l.Refused(w.unclear)
	}
	other := w.otherSpellings(slots)
	for _, s := range slots {
		switch element, ok := w.elements[s.id]; {
		case w.err != nil:
			s.err = w.err
		case w.elements == nil:
			s.result = l.failure(w, len(slots) == 1)
		case ok:
			s.result = l.found(w, element)
		case other[fold(s.id)].element != nil:
			s.result = l.found(w, other[fold(s.id)].element)
		case other[fold(s.id)].ask && len(slots) > 1:
			again = append(again, s)
			continue
		case w.unclear != nil:
			s.err = &Error{"http_protocol_error", w.unclear}
		default:
			s.result = l.missing(w)
		}
		close(s.done)
	}
	return again
}

// spelled is the part of a response for an id in another spelling.
type spelled struct {
	element []byte
	ask     bool // true if the element may belong to another requested id: retry this id alone
}

// otherSpellings finds the elements whose ids are other spellings of requested ids, by their common
// form. If the response has more elements than were requested, it returns nil: the origin does not
// select by the ids.
func (w *whole) otherSpellings(slots []*slot) map[string]spelled {
	asked, unmatched := make(map[string]bool, len(slots)), map[string]int{}
	for _, s := range slots {
		if asked[s.id] = true; w.elements[s.id] == nil {
			unmatched[fold(s.id)]++
		}
	}
	if len(w.elements) == 0 || len(w.elements) > len(slots) || len(unmatched) == 0 {
		return nil
	}
	found := map[string]spelled{}
	for id, element := range w.elements {
		key := fold(id)
		if unmatched[key] == 0 {
			continue
		}
		if _, twice := found[key]; twice || asked[id] || unmatched[key] > 1 {
			found[key] = spelled{ask: true}
			continue
		}
		found[key] = spelled{element: element}
	}
	return found
}

// rescue sets an error for the slots of a call that ended without a result, for example by a panic.
func rescue(slots []*slot) {
	p := recover()
	for _, s := range slots {
		select {
		case <-s.done:
		default:
			if s.err = fmt.Errorf("all clients have left: %w", context.Canceled); p != nil {
				s.err = fmt.Errorf("a batch panicked: %v", p)
			}
			close(s.done)
		}
	}
}

// fetch requests the slots' ids.
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
		if err = l.split(w); err != nil {
			w.elements, w.misfit, w.err = nil, true, &Error{"http_protocol_error", err}
			if l.Refused != nil {
				l.Refused(w.err)
			}
		}
	}
	return w
}

// split finds the elements by their ids. If two have the same id, the first counts. An empty body,
// null and a missing list count as an empty list, because many serialisers omit empty values.
func (l *Loader) split(w *whole) error {
	w.elements = make(map[string][]byte)
	if len(bytes.TrimSpace(w.body)) == 0 {
		return nil
	}
	body, err := rawjson.Clean(w.body)
	if err != nil {
		return fmt.Errorf("it is not valid JSON: %w", err)
	}
	items, ok := l.Items.Find(body)
	switch {
	case l.Items.Lacks(body):
		return nil
	case !ok:
		return fmt.Errorf("it %s", l.Items.Why(body))
	case rawjson.Kind(items) != '[':
		return fmt.Errorf("there is no array at %q", l.Items.String())
	}
	for element := range rawjson.Elements(items) {
		value, ok := l.Key.Find(element)
		if !ok {
			if k := rawjson.Kind(element); k == '{' && !l.Key.Lacks(element) {
				w.unclear = fmt.Errorf("an element %s", l.Key.Why(element))
			}
			continue
		}
		if id, ok := rawjson.Scalar(value); ok && w.elements[id] == nil {
			w.elements[id] = rawjson.Trim(element)
		}
	}
	return nil
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
