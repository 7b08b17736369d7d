package edge

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/stall"
)

// Pace bounds how long a client may stall in the middle of a request. 0 means no bound.
type Pace struct {
	Read       time.Duration // for the whole request body
	ReadStall  time.Duration // without a byte of the request body
	WriteStall time.Duration // without a frame of an HTTP/2 response; for HTTP/1.1 the connection bounds it
}

const (
	// pieceSize is the number of bytes of a response that are written at once. Small writes show
	// that a slow client still reads. It is the size of a frame.
	pieceSize = 16 << 10
	// smallPiece is used instead after a piece took longer than slowPiece.
	smallPiece = 4 << 10
	slowPiece  = time.Second
)

// Around returns a middleware that bounds the client's stalls. If the client stops sending, reading
// the body fails with os.ErrDeadlineExceeded. If it stops reading a response, its stream is reset.
// It must be the outermost middleware, since it needs net/http's own ResponseWriter.
func (p Pace) Around(next http.Handler) http.Handler {
	if p == (Pace{}) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		waits := stall.WaitsOf(r.Context())
		waits.Begin(r.ProtoMajor >= 2)
		defer waits.End()
		if (p.Read > 0 || p.ReadStall > 0 || waits != nil) && r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
			r = p.readBody(w, r, waits)
		}
		if p.WriteStall <= 0 || r.ProtoMajor < 2 {
			next.ServeHTTP(w, r)
			return
		}
		paced := &pacedWriter{ResponseWriter: w, control: http.NewResponseController(w), limit: p.WriteStall, waiting: waits}
		defer paced.stop()
		next.ServeHTTP(paced, r)
		paced.leave()
	})
}

// readBody returns r with a body that has deadlines.
func (p Pace) readBody(w http.ResponseWriter, r *http.Request, waits *stall.Waits) *http.Request {
	b := &pacedBody{ReadCloser: r.Body, control: http.NewResponseController(w), limit: p.ReadStall, connection: r.ProtoMajor == 1}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") { // gRPC streams may be silent
		b.waits = waits
	}
	now := time.Now()
	if p.Read > 0 {
		b.until = now.Add(p.Read)
	}
	if b.connection {
		b.arm(now) // net/http reads the part of the body that the handler leaves
	}
	out := *r
	out.Body = b
	return &out
}

// pacedBody is a request body whose reads have a deadline. An interrupted read ends the request, so
// the deadline must never be early. It is moved only if less than the limit is left, so a stall
// ends between the limit and a quarter more.
type pacedBody struct {
	io.ReadCloser
	control    *http.ResponseController
	limit      time.Duration
	until      time.Time // deadline of the whole body; or zero
	armed      time.Time
	connection bool // the deadline holds for the connection, not only for the body
	waits      *stall.Waits
}

// Read reads from the body until the deadline.
func (b *pacedBody) Read(p []byte) (int, error) {
	b.arm(time.Now())
	b.waits.Sends(true)
	n, err := b.ReadCloser.Read(p)
	b.waits.Sends(false)
	if err == io.EOF && b.connection && !b.armed.IsZero() {
		b.armed = time.Time{}
		_ = b.control.SetReadDeadline(time.Time{}) // net/http keeps reading, to detect that the client leaves
	}
	return n, err
}

func (b *pacedBody) arm(now time.Time) {
	due := b.until
	if b.limit > 0 {
		if b.armed.Sub(now) >= b.limit {
			return
		}
		if late := now.Add(b.limit + b.limit/4); due.IsZero() || late.Before(due) {
			due = late
		}
	}
	if !due.Equal(b.armed) {
		b.armed = due
		_ = b.control.SetReadDeadline(due) // only the writers of tests have no deadlines
	}
}

// pacedWriter is the response to an HTTP/2 request. Its writes block while the client's
// flow-control windows are full. A timer watches them; it is set once for many writes.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
	waits   atomic.Int64 // when the current write began, in Unix nanoseconds; 0 if no write runs
	slow    bool         // true if the last piece took longer than slowPiece
	wrote   bool
	waiting *stall.Waits

	mu    sync.Mutex
	timer *time.Timer // nil before the first write
	over  bool
}

// Unwrap returns the underlying ResponseWriter.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write writes p in pieces.
func (w *pacedWriter) Write(p []byte) (n int, err error) {
	for {
		size := pieceSize
		if w.slow {
			size = smallPiece
		}
		w.begin()
		k, err := w.ResponseWriter.Write(p[:min(len(p), size)])
		w.end()
		n += k
		if p = p[k:]; len(p) == 0 || err != nil {
			return n, err
		}
	}
}

// FlushError flushes the response.
func (w *pacedWriter) FlushError() error {
	w.begin()
	defer w.end()
	return w.control.Flush()
}

func (w *pacedWriter) begin() {
	w.wrote = true
	w.waits.Store(time.Now().UnixNano())
	w.waiting.Takes(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil && !w.over {
		w.timer = time.AfterFunc(w.limit, w.look)
	}
}

func (w *pacedWriter) end() {
	began := w.waits.Swap(0)
	w.waiting.Takes(false)
	w.slow = time.Now().UnixNano()-began > int64(slowPiece)
}

// look resets the stream if the current write has taken too long. Otherwise it sets the timer for
// the time at which that could next be so.
func (w *pacedWriter) look() {
	wait := w.limit
	if began := w.waits.Load(); began != 0 {
		wait -= time.Since(time.Unix(0, began))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.over:
	case wait <= 0:
		_ = w.control.SetWriteDeadline(time.Unix(1, 0)) // fails the write, or does nothing if the stream has ended
	default:
		w.timer.Reset(wait)
	}
}

// leave bounds the time in which net/http sends the bytes that it still holds.
func (w *pacedWriter) leave() {
	if w.wrote {
		_ = w.control.SetWriteDeadline(time.Now().Add(w.limit)) // only the writers of tests have no deadlines
	}
}

// stop stops the timer.
func (w *pacedWriter) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
