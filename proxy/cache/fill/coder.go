package fill

import (
	"context"
	"errors"
	"io"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/flight"
)

// codedSlack is how many more bytes of a coded body are held than may be stored. A follower that
// has not opened its reader yet needs these bytes if the body outgrows the limit at that moment.
const codedSlack = 2 << 20

// errWhole tells a coder that the body is complete.
var errWhole = errors.New("the body is whole")

// coder codes the body of a fill once, while the fill runs, for all readers that want this coding.
// It flushes each time it has coded all received bytes.
//
// It reads the body as any other reader does, but does not count as a client. If the coded body is
// too large to be stored, a slow reader of it slows the coder down. The fill then cuts the coder
// off as it does any slow reader, before it can slow down the readers of the uncoded body. A nil
// coder does nothing.
type coder struct {
	spool  *flight.Flight[uint64, struct{}]
	source *flight.Reader
	writer compress.Writer

	ctx     context.Context // ends with errWhole once size is known
	stop    context.CancelCauseFunc
	size    int64       // of the body; set before ctx ends with errWhole
	detach  func() bool // stops watching the fill's context
	started bool
	done    chan struct{}
	err     error // set before done is closed
}

// newCoder returns a coder for the coding that the leader prefers and enters it into l. It returns
// nil if the body is not to be coded.
func (fl *Filler) newCoder(ctx context.Context, j *Job, l *Inflight) *coder {
	if l.Draft.Derivable == 0 || l.Coding != compress.Identity {
		return nil
	}
	res := j.Request.Route
	coding, ok := compress.Negotiate(j.Request.HTTP.Header["Accept-Encoding"], l.Draft.Derivable.With(compress.Identity), res.Compress.Encodings)
	if !ok || coding == compress.Identity {
		return nil
	}
	spool, _, err := fl.coded.Join(fl.Tiers.NextSeq(), 0)
	if err != nil {
		return nil
	}
	spool.Watch(j.attended.change)
	spool.Announce(struct{}{}, res.MaxObject+codedSlack)
	l.spool, l.coded = spool, coding
	k := &coder{
		spool: spool, source: j.flight.Tap(ctx), writer: compress.NewWriter(spool, coding, res.Compress.Level[coding]),
		done: make(chan struct{}),
	}
	k.ctx, k.stop = context.WithCancelCause(ctx)
	k.detach = context.AfterFunc(ctx, func() { spool.End(flight.Shared, context.Cause(ctx)) }) // wakes a Write that waits for a slow reader
	return k
}

// start starts the coding on a goroutine. finish, fail and abort wait for its end.
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

// code codes the body while it arrives, until the whole body is coded. It returns nil if the coded
// body is complete.
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
			ctx = context.WithoutCancel(k.ctx) // the remaining bytes are already in the source
		}
		if ctx != k.ctx && coded == k.size {
			return k.writer.Close()
		}
	}
}

// finish waits until the whole body of size bytes is coded. It returns the coded body, or nil if
// the coding failed or the coded body is too large to be stored.
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

// end marks the end of the coded body for its readers.
func (k *coder) end() {
	if k != nil {
		k.spool.End(flight.Shared, k.err)
	}
}

// fail tells the readers of the coded body that the rest will not arrive, and waits until the coder
// has ended.
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

// abort releases the coder, however the fill ends. If neither end nor fail has run, the readers get
// io.ErrUnexpectedEOF.
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
