package cache

import (
	"context"
	"errors"
	"io"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/flight"
)

// codedSlack is how much more of a coded body is held than may be stored: enough for a follower who is still about to open its reader while
// the body it follows outgrows what is kept.
const codedSlack = 2 << 20

// errWhole is how a coder is told that the body has ended.
var errWhole = errors.New("the body is whole")

// coder codes a fill's body once, beside the fill, for all who read along under that coding, and flushes when it has coded all that has come.
//
// It reads the body as any other reader does. So a slow reader of a coded body that is too large to be kept makes the coder slow, and then
// the coder is cut off as any slow reader is, before it can harm those who read the body as it is. A nil coder does nothing.
type coder struct {
	spool  *flight.Flight[uint64, struct{}]
	source *flight.Reader
	writer compress.Writer

	ctx     context.Context // ends with errWhole when size is known
	stop    context.CancelCauseFunc
	size    int64       // set before ctx ends with errWhole
	detach  func() bool // from the fill's context
	started bool
	done    chan struct{}
	err     error // set before done is closed
}

// newCoder prepares the coding that the leader would like best, if the body is to be coded at all, and enters it into l.
func (c *Cache) newCoder(ctx context.Context, j *job, l *landing) *coder {
	if l.derive == 0 || l.coding != compress.Identity {
		return nil
	}
	res := j.x.res
	coding, ok := compress.Negotiate(j.x.r.Header["Accept-Encoding"], l.derive.With(compress.Identity), res.Compress.Encodings)
	if !ok || coding == compress.Identity {
		return nil
	}
	spool, _, err := c.coded.Join(c.serial.Add(1), 0)
	if err != nil {
		return nil
	}
	spool.Announce(struct{}{}, res.MaxObject+codedSlack)
	l.spool, l.coded = spool, coding
	k := &coder{
		spool: spool, source: j.flight.Reader(ctx), writer: compress.NewWriter(spool, coding, res.Compress.Level[coding]),
		done: make(chan struct{}),
	}
	k.ctx, k.stop = context.WithCancelCause(ctx)
	k.detach = context.AfterFunc(ctx, func() { spool.End(flight.Shared, context.Cause(ctx)) }) // wakes a Write that waits for a slow reader
	return k
}

// start begins to code. finish, fail or abort waits for its end.
func (k *coder) start() {
	if k == nil {
		return
	}
	k.started = true
	go func() {
		defer close(k.done)
		defer k.source.Close()
		if k.err = k.code(); k.err != nil {
			k.writer.Abort()
			k.spool.End(flight.Shared, k.err)
		}
	}()
}

// code codes what comes until it has coded all.
func (k *coder) code() error {
	ctx, coded, flushed := k.ctx, int64(0), true
	for {
		if !flushed && !k.source.Ready() {
			if err := k.writer.Flush(); err != nil {
				return err
			}
			flushed = true
		}
		b, err := k.source.Next(ctx)
		switch {
		case err == nil:
			if _, err := k.writer.Write(b); err != nil {
				return err
			}
			coded, flushed = coded+int64(len(b)), false
		case err == io.EOF:
			return k.writer.Close()
		case context.Cause(k.ctx) != errWhole || ctx != k.ctx:
			return err
		default:
			ctx = context.WithoutCancel(k.ctx) // what is left is there already
		}
		if ctx != k.ctx && coded == k.size {
			return k.writer.Close()
		}
	}
}

// finish waits until all of the body, of size bytes, is coded, and returns the coded body, or nil where there is none to keep.
func (k *coder) finish(size int64) [][]byte {
	if k == nil {
		return nil
	}
	k.size = size
	k.stop(errWhole)
	<-k.done
	segments, _, whole := k.spool.Body()
	if k.err != nil || !whole {
		return nil
	}
	return segments
}

// end lets those who read the coded body have its end.
func (k *coder) end() {
	if k != nil {
		k.spool.End(flight.Shared, k.err)
	}
}

// fail tells those who read the coded body that the rest of it will not come.
func (k *coder) fail(err error) {
	if k == nil {
		return
	}
	k.spool.End(flight.Shared, err)
	k.stop(err)
	if k.started {
		<-k.done
	}
}

// abort ends what neither end nor fail has ended.
func (k *coder) abort() {
	if k == nil {
		return
	}
	k.detach()
	k.fail(io.ErrUnexpectedEOF)
	if !k.started {
		k.source.Close()
		k.writer.Abort()
	}
}
