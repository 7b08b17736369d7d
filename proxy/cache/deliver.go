package cache

import (
	"io"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// delivery writes one Reply to one client.
type delivery struct {
	c     *Cache
	x     *exchange
	w     http.ResponseWriter
	reply *Reply
}

// deliver writes reply to w.
func (c *Cache) deliver(w http.ResponseWriter, x *exchange, reply *Reply) {
	d := &delivery{c: c, x: x, w: w, reply: reply}
	x.note(reply)
	switch {
	case reply.failure != nil:
		d.failure()
	case reply.Entry != nil:
		d.entry(reply.Entry)
	case reply.landing != nil:
		d.along(reply.landing)
	case reply.response != nil:
		d.relay(reply.response)
	}
}

// entry answers from the store: conditions first, then ranges, then the whole (RFC 9110 §13.2.2, §14.2).
func (d *delivery) entry(e *store.Entry) {
	rep := d.c.represent(d.x, e)
	switch cachepolicy.Evaluate(&d.x.q, &e.Meta) {
	case cachepolicy.NotModified:
		d.fields(rep)
		d.notModified()
		return
	case cachepolicy.Failed:
		d.fields(rep)
		d.withoutContent(http.StatusPreconditionFailed)
		return
	}
	if len(d.x.r.Header["Range"]) > 0 || !e.Complete() {
		if d.ranges(e) {
			return
		}
	}
	d.fields(rep)
	d.head(e.Status, rep.Body.Size)
	if d.x.q.Method != http.MethodHead {
		d.body(rep.Body.Segments)
	}
}

// fields copies the stored field lines and adds what belongs to this answer: Age (RFC 9111 §5.1) and Cache-Status (RFC 9211).
func (d *delivery) fields(rep *store.Representation) {
	h := d.w.Header()
	addFields(h, rep)
	h["Age"] = []string{strconv.FormatInt(int64(d.age().Seconds()), 10)}
	d.cacheStatus(h)
	d.x.ev.Coding = rep.Coding.String()
}

// head writes the status line and the header section of a response with size bytes of content.
func (d *delivery) head(status int, size int64) {
	if status != http.StatusNoContent && status >= 200 {
		d.w.Header()["Content-Length"] = []string{strconv.FormatInt(size, 10)}
	}
	d.status(status)
}

func (d *delivery) status(status int) {
	d.x.ev.Status = status
	d.w.WriteHeader(status)
}

// notModified writes a 304: of the stored fields those that describe the content go (RFC 9110 §15.4.5).
func (d *delivery) notModified() { d.withoutContent(http.StatusNotModified) }

func (d *delivery) withoutContent(status int) {
	h := d.w.Header()
	for _, name := range [...]string{"Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Content-Range", "Content-Md5", "Content-Digest", "Transfer-Encoding"} {
		delete(h, name)
	}
	if status == http.StatusPreconditionFailed {
		h["Content-Length"] = []string{"0"}
	}
	d.status(status)
}

// body writes the stored segments as they are.
func (d *delivery) body(segments [][]byte) {
	for _, s := range segments {
		if !d.write(s) {
			return
		}
	}
}

// write writes b. After a client has gone there is nothing left to do: net/http closes its connection.
func (d *delivery) write(b []byte) bool {
	n, err := d.w.Write(b)
	d.x.ev.BytesOut += int64(n)
	return err == nil
}

// along delivers a body that is still being filled.
func (d *delivery) along(l *landing) {
	reader, coding, head := d.join(l)
	defer reader.Close()
	rep := store.Representation{Coding: coding, Head: head}
	d.fields(&rep)
	switch cachepolicy.Evaluate(&d.x.q, &l.facts) {
	case cachepolicy.NotModified:
		d.notModified()
		return
	case cachepolicy.Failed:
		d.withoutContent(http.StatusPreconditionFailed)
		return
	}
	if l.size >= 0 && coding == l.coding {
		d.head(l.facts.Status, l.size)
	} else {
		d.status(l.facts.Status)
	}
	if !bodyAllowed(l.facts.Status) {
		return
	}
	if err := d.read(reader); err != nil {
		panic(http.ErrAbortHandler) // a body that breaks must never look complete
	}
	d.trailers(l)
}

// bodyReader is what a fill's body is read from.
type bodyReader interface {
	io.ReadCloser
	alongReader
}

// join picks the body that the client can read: as the origin sent it, or as it is being coded. A client that reads neither gets it decoded.
func (d *delivery) join(l *landing) (bodyReader, compress.Coding, string) {
	defer d.leave()
	accept := d.x.r.Header["Accept-Encoding"]
	have := compress.Set(0).With(l.coding)
	if l.spool != nil {
		have = have.With(l.coded)
		if coding, ok := compress.Negotiate(accept, have, d.x.res.Compress.Encodings); ok && coding == l.coded {
			return l.spool.Reader(d.x.ctx), coding, store.BuildHead(l.facts.Status, codedHeader(l.header, coding), dropFromHead)
		}
	}
	plain := d.reader()
	if l.coding == compress.Identity || l.coding == compress.Unknown || !l.derive.Has(compress.Identity) || compress.Accepts(accept, l.coding) {
		return plain, l.coding, l.head
	}
	decoded, err := newDecodedAlong(plain, l.coding, d.x.res.decodeLimit())
	if err != nil {
		return plain, l.coding, l.head
	}
	return decoded, compress.Identity, store.BuildHead(l.facts.Status, codedHeader(l.header, compress.Identity), dropFromHead)
}

// reader is the leader's, opened before the first byte came, or a follower's.
func (d *delivery) reader() bodyReader {
	if d.reply.reader != nil {
		return d.reply.reader
	}
	return d.reply.flight.Reader(d.x.ctx)
}

// leave gives up the place in the flight, once a reader is open or none will be.
func (d *delivery) leave() {
	if d.reply.flight != nil {
		d.reply.flight.Leave()
	}
}

// read writes the body as it comes, and flushes whenever the next bytes are not there yet.
func (d *delivery) read(r alongReader) error {
	flusher := http.NewResponseController(d.w)
	for {
		if !r.Ready() {
			if err := flusher.Flush(); err != nil {
				return nil // the client is gone
			}
		}
		b, err := r.Next(d.x.ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !d.write(b) {
			return nil
		}
	}
}

// trailers passes the origin's trailer fields on.
func (d *delivery) trailers(l *landing) {
	for name, values := range l.trailer {
		d.w.Header()[http.TrailerPrefix+name] = values
	}
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}
