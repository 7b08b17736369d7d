package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// settleTime is how long a response that was read whole waits for the last write of its request to return. The target has seen the end of that write.
const settleTime = 50 * time.Millisecond

// sending is a request's body on its way to a plain target. It has a goroutine of its own, because a target may answer before it has all of it. The
// goroutine ends with the body, with the connection, or, while it waits for the client, when the client's connection ends.
//
// A target that answers before it has the whole body and stays on the line may read the body, or leave it and take the rest for the next request
// (RFC 9112 §9.3): nobody can tell. So the connection carries no further request unless the last write had begun when the first byte of the answer
// was read. Whether a write has ended does not count: one that the target has seen the end of returns to its goroutine at any time.
type sending struct {
	trip    *trip
	in      *http.Request
	body    io.ReadCloser
	size    int64 // -1: not known, it is sent in chunks
	trailer []string
	expects bool // the target is asked whether it wants the body

	last     atomic.Bool   // the last write has begun
	whole    atomic.Bool   // and has ended well
	wanted   chan struct{} // closed when the target asks for the body with 100
	answered chan struct{} // closed when the final response has begun
	over     chan struct{} // closed when the trip has ended
	done     chan struct{} // closed when nothing more is sent
	want     sync.Once
	finish   sync.Once
}

func newSending(t *trip, r *http.Request, body io.ReadCloser) *sending {
	s := &sending{
		trip: t, in: r, body: body, size: bodySize(r), done: make(chan struct{}), over: make(chan struct{}),
		expects: expectsContinue(r.Header),
	}
	if s.size < 0 {
		s.trailer = trailerNames(r.Trailer)
	}
	if s.expects {
		s.wanted, s.answered = make(chan struct{}), make(chan struct{})
	}
	return s
}

func expectsContinue(h http.Header) bool {
	return len(h["Expect"]) > 0 && httpguts.HeaderValuesContainsToken(h["Expect"], "100-continue")
}

// goOn says that the target has asked for the body.
func (s *sending) goOn() {
	if s.wanted != nil {
		s.want.Do(func() { close(s.wanted) })
	}
}

// answer says that the final response has begun.
func (s *sending) answer() {
	if s.answered != nil {
		close(s.answered)
	}
}

// end says that the trip has ended.
func (s *sending) end() { s.finish.Do(func() { close(s.over) }) }

// settled reports whether all was sent. It waits a little for a write that is about to return.
func (s *sending) settled() bool {
	select {
	case <-s.done:
		return s.whole.Load()
	default:
	}
	if !s.last.Load() {
		return false
	}
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.whole.Load()
	case <-timer.C:
		return false
	}
}

var bodyBuffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// run sends the body.
func (s *sending) run() {
	defer close(s.done)
	defer s.body.Close()
	if s.expects && !s.mayGo() {
		return
	}
	buf := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(buf)
	err := s.copy(*buf)
	var own *Error
	switch {
	case err == nil:
		s.whole.Store(true)
	case errors.As(err, &own):
		s.trip.abort(own) // the client's failure
	case timedOut(err):
		s.trip.abort(&Error{Kind: WriteTimeout, Target: s.trip.target.name, Err: err})
	}
	// Where the target has closed its side it may have said why: whoever reads will see that, or the same error.
	s.trip.await1st(time.Now())
}

// mayGo waits until the target has asked for the body, or has kept silent for so long that it may not know how to. One that has answered does not
// want it.
func (s *sending) mayGo() bool {
	timer := time.NewTimer(continueTimeout)
	defer timer.Stop()
	select {
	case <-s.wanted:
		return true
	case <-s.answered:
		return false
	case <-s.over:
		return false
	case <-timer.C:
	}
	select {
	case <-s.answered:
		return false
	default:
		return true
	}
}

func (s *sending) copy(buf []byte) error {
	if s.size < 0 {
		return s.copyChunks(buf)
	}
	left := s.size
	for left > 0 {
		n, err := s.read(buf[:min(int64(len(buf)), left)])
		left -= int64(n)
		switch {
		case err == io.EOF && left > 0:
			return requestBodyError(s.trip.target.name, io.ErrUnexpectedEOF)
		case err != nil && err != io.EOF:
			return err
		case left == 0 && err == nil:
			if err := s.expectEnd(); err != nil {
				return err
			}
		}
		if left == 0 {
			s.last.Store(true)
		}
		if err := s.trip.line.send(buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// expectEnd reads the end of a body that has said all that it announced. The client's connection can be used again only after that.
func (s *sending) expectEnd() error {
	var one [1]byte
	n, err := s.read(one[:])
	if n > 0 {
		return requestBodyError(s.trip.target.name, fmt.Errorf("more than the announced %d bytes", s.size))
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// read reads some of the body. Its errors are the client's.
func (s *sending) read(p []byte) (int, error) {
	for range 100 {
		n, err := s.body.Read(p)
		if err != nil && err != io.EOF {
			err = requestBodyError(s.trip.target.name, err)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, requestBodyError(s.trip.target.name, io.ErrNoProgress)
}

// chunkRoom is how much of a buffer is left free in front of a chunk's data, for its size, and behind it, for the end.
const (
	chunkRoom = 8
	chunkTail = 2 + 5
)

// copyChunks sends each piece of the body as a chunk, as it comes (RFC 9112 §7.1).
func (s *sending) copyChunks(buf []byte) error {
	for {
		n, err := s.read(buf[chunkRoom : len(buf)-chunkTail])
		if err != nil && err != io.EOF {
			return err
		}
		piece := chunk(buf, n)
		if err == io.EOF {
			piece = s.appendEnd(piece)
			s.last.Store(true)
		}
		if werr := s.trip.line.send(piece); werr != nil || err == io.EOF {
			return werr
		}
	}
}

// chunk frames the n bytes that stand at chunkRoom in buf. No bytes are no chunk: one of size 0 would be the last.
func chunk(buf []byte, n int) []byte {
	if n == 0 {
		return buf[:0]
	}
	var size [chunkRoom]byte
	head := append(strconv.AppendInt(size[:0], int64(n), 16), '\r', '\n')
	begin := chunkRoom - len(head)
	copy(buf[begin:], head)
	return append(buf[begin:chunkRoom+n], '\r', '\n')
}

// appendEnd adds the last chunk and the trailer fields whose names were announced.
func (s *sending) appendEnd(b []byte) []byte {
	b = append(b, "0\r\n"...)
	for _, name := range s.trailer {
		for _, v := range s.in.Trailer[name] {
			if line, err := appendField(b, name, v); err == nil { // what is no field is left out
				b = line
			}
		}
	}
	return append(b, "\r\n"...)
}

// trailerNames are the names of the trailers that may go on, in order.
func trailerNames(trailer http.Header) []string {
	var names []string
	for name := range announced(trailer) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// bodyOf is the body of r; nil: there is none.
func bodyOf(r *http.Request) io.ReadCloser {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 && bodyless(r.Method) {
		return nil
	}
	return r.Body
}

// bodySize is how much r's body announces; -1: it does not say.
func bodySize(r *http.Request) int64 {
	if r.ContentLength > 0 {
		return r.ContentLength
	}
	return -1
}
