package cache

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
)

// storePosted arranges for the response to a POST to be stored as that of a GET of its own URL, once it has been relayed whole
// (RFC 9110 §9.3.3).
func (c *Cache) storePosted(x *exchange, resp *http.Response, v *cachepolicy.Verdict, begun uint64) {
	key, ok := x.res.Rules.URLKey(&x.q, selfURL(&x.q))
	if !ok || resp.ContentLength > x.res.MaxObject {
		return
	}
	// The answer's own invalidation came first: it must not doom what it brings.
	begun = c.doomed.now()
	meta := v.Meta
	meta.Seq = c.serial.Add(1)
	header := resp.Header.Clone()
	resp.Body = &tee{ReadCloser: resp.Body, most: x.res.MaxObject, whole: func(body []byte) {
		j := &job{x: &exchange{ctx: x.ctx, res: x.res, r: x.r, q: x.q, key: key}, begun: begun}
		copied := &http.Response{StatusCode: resp.StatusCode, Header: header, ContentLength: resp.ContentLength}
		verdict := &cachepolicy.Verdict{Effect: cachepolicy.Store, Meta: meta}
		l := c.newLanding(j, copied, verdict)
		c.keep(context.WithoutCancel(x.ctx), j, c.entryOf(l, [][]byte{body}, int64(len(body)), nil, verdict))
	}}
}

// tee collects what is read, and gives it to whole when the body has ended well and is not too large.
type tee struct {
	io.ReadCloser
	most  int64
	buf   bytes.Buffer
	whole func([]byte)
}

// Read reads from the body.
func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if t.whole == nil {
		return n, err
	}
	t.buf.Write(p[:n])
	switch {
	case int64(t.buf.Len()) > t.most, err != nil && err != io.EOF:
		t.whole, t.buf = nil, bytes.Buffer{}
	case err == io.EOF:
		t.whole(t.buf.Bytes())
		t.whole = nil
	}
	return n, err
}
