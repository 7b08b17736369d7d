package h1

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
	"github.com/penstock/penstock/proxy/upstream/send"
)

// settleTime is how long a response that was read whole waits for the last write of its request to
// return, because the target has seen the end of that write, and how long that write waits for bytes
// that arrived before it.
const settleTime = 50 * time.Millisecond

// continueWait is how long a body waits for the 100 of a target that may not know Expect.
const continueWait = time.Second

// requestBody sends the body of a request. It runs in a goroutine of its own, because a target may
// answer before it has the whole body. The goroutine ends with the body, with the connection, or,
// if it waits for the client, when the client's connection ends.
//
// If a target answers early and keeps the connection open, it may read the rest of the body, or
// take it for the next request (RFC 9112 §9.3). The gateway cannot tell which. So the connection
// carries a further request only if nothing of the answer had arrived when the last write began.
// The moment at which the gateway reads the answer does not count: on a busy machine that may be
// much later. Neither does the end of the write: if the target has seen all of it, the write may
// still return at any later time.
type requestBody struct {
	attempt *attempt
	in      *http.Request
	body    io.ReadCloser
	size    int64 // -1: not known, it is sent in chunks
	trailer []string
	expects bool // the target is asked whether it wants the body
	wait    send.SendWait

	order    sync.Mutex    // guards early; held while bytes of an answer are taken and noted
	early    bool          // when the last write began, bytes had arrived that are not taken yet
	last     atomic.Bool   // the last write has begun
	whole    atomic.Bool   // and has ended well
	wanted   chan struct{} // closed when the target asks for the body with 100
	answered chan struct{} // closed when the final response has begun
	over     chan struct{} // closed when the attempt has ended
	done     chan struct{} // closed when nothing more is sent
	want     sync.Once
	finish   sync.Once
}

func newRequestBody(t *attempt, r *http.Request, body io.ReadCloser) *requestBody {
	s := &requestBody{
		attempt: t, in: r, body: body, size: hop.BodySize(r), done: make(chan struct{}), over: make(chan struct{}),
		expects: hop.ExpectsContinue(r.Header),
	}
	t.slot.Sends.Store(&s.wait)
	if s.size < 0 {
		s.trailer = hop.TrailerNames(r.Trailer)
	}
	if s.expects {
		s.wanted, s.answered = make(chan struct{}), make(chan struct{})
	}
	return s
}

// goOn says that the target has asked for the body.
func (s *requestBody) goOn() {
	if s.wanted != nil {
		s.want.Do(func() { close(s.wanted) })
	}
}

// answer says that the final response has begun.
func (s *requestBody) answer() {
	if s.answered != nil {
		close(s.answered)
	}
}

// end says that the attempt has ended.
func (s *requestBody) end() { s.finish.Do(func() { close(s.over) }) }

// settled reports whether all was sent. It waits a little for a write that is about to return.
func (s *requestBody) settled() bool {
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

// beginLast is called before the last write. If bytes have arrived, it waits a little until they are
// taken: after an interim response the connection can be kept.
func (s *requestBody) beginLast() {
	for end := time.Now().Add(settleTime); !s.tryLast(time.Now().After(end)); {
		time.Sleep(settleTime / 500)
	}
}

// tryLast begins the last write if it must, or if no bytes of an answer have arrived.
func (s *requestBody) tryLast(must bool) bool {
	s.order.Lock()
	defer s.order.Unlock()
	if s.early = !s.attempt.conn.ready(); !s.early || must {
		s.last.Store(true)
	}
	return s.last.Load()
}

// inTime reports whether bytes that were just taken had arrived after the last write began. all is
// true if no more bytes were there: what comes next is not early. The caller holds order.
func (s *requestBody) inTime(all bool) bool {
	in := s.last.Load() && !s.early
	if all {
		s.early = false
	}
	return in
}

// bodyBuffer is the size of the buffer that a request's body goes through.
const bodyBuffer = 32 << 10

var bodyBuffers = sync.Pool{New: func() any { b := make([]byte, bodyBuffer); return &b }}

// run sends the body.
func (s *requestBody) run() {
	defer close(s.done)
	defer s.body.Close()
	if s.expects && !s.mayGo() {
		return
	}
	buf := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(buf)
	err := s.copy(*buf)
	var own *fault.Error
	switch {
	case err == nil:
		s.whole.Store(true)
	case errors.As(err, &own):
		s.attempt.abort(own) // the client's failure
	case fault.TimedOut(err):
		s.attempt.abort(&fault.Error{Kind: fault.WriteTimeout, Target: s.attempt.sender.Target.Name, Err: err})
	}
	// If the target has closed its side, it may have said why. The reader of the response sees
	// that, or the same error.
	s.attempt.expectResponse(time.Now())
}

// mayGo waits until the target asks for the body with 100 (Continue). If the target stays silent
// for continueWait, it may not know Expect, and the body is sent. If it answers, it does not want
// the body.
func (s *requestBody) mayGo() bool {
	timer := time.NewTimer(continueWait)
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

func (s *requestBody) copy(buf []byte) error {
	if s.size < 0 {
		return s.copyChunks(buf)
	}
	left := s.size
	for left > 0 {
		n, err := s.read(buf[:min(int64(len(buf)), left)])
		left -= int64(n)
		switch {
		case err == io.EOF && left > 0:
			return fault.RequestBodyError(s.attempt.sender.Target.Name, io.ErrUnexpectedEOF)
		case err != nil && err != io.EOF:
			return err
		case left == 0 && err == nil:
			if err := s.expectEnd(); err != nil {
				return err
			}
		}
		if left == 0 {
			s.beginLast()
		}
		if err := s.attempt.conn.write(buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// expectEnd reads the end of a body that has said all that it announced. The client's connection
// can be used again only after that.
func (s *requestBody) expectEnd() error {
	var one [1]byte
	n, err := s.read(one[:])
	if n > 0 {
		return fault.RequestBodyError(s.attempt.sender.Target.Name, fmt.Errorf("more than the announced %d bytes", s.size))
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// read reads some of the body. Its errors are the client's.
func (s *requestBody) read(p []byte) (int, error) {
	s.wait.Begin(time.Now())
	defer func() { s.wait.End(time.Now()) }()
	for range 100 {
		n, err := s.body.Read(p)
		if err != nil && err != io.EOF {
			err = fault.RequestBodyError(s.attempt.sender.Target.Name, err)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, fault.RequestBodyError(s.attempt.sender.Target.Name, io.ErrNoProgress)
}

// chunkRoom is how much of a buffer is left free in front of a chunk's data, for its size, and
// behind it, for the end.
const (
	chunkRoom = 8
	chunkTail = 2 + 5
)

// copyChunks sends each piece of the body as a chunk, as it comes (RFC 9112 §7.1).
func (s *requestBody) copyChunks(buf []byte) error {
	for {
		n, err := s.read(buf[chunkRoom : len(buf)-chunkTail])
		if err != nil && err != io.EOF {
			return err
		}
		piece := chunk(buf, n)
		if err == io.EOF {
			piece = s.appendEnd(piece)
			s.beginLast()
		}
		if werr := s.attempt.conn.write(piece); werr != nil || err == io.EOF {
			return werr
		}
	}
}

// chunk frames the n bytes that stand at chunkRoom in buf. No bytes are no chunk: one of size 0
// would be the last.
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
func (s *requestBody) appendEnd(b []byte) []byte {
	b = append(b, "0\r\n"...)
	for _, name := range s.trailer {
		for _, v := range s.in.Trailer[name] {
			if line, err := appendField(b, name, v); err == nil { // an invalid field is left out
				b = line
			}
		}
	}
	return append(b, "\r\n"...)
}
