package cache

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
)

// storePosted arranges for the response to a POST to be stored as that of a GET of its own URL, once it has been relayed whole
// (RFC 9110 §9.3.3). It comes after the POST has invalidated that URL, so its own invalidation does not doom what it brings.
func (c *Cache) storePosted(x *exchange, resp *http.Response, v *cachepolicy.Verdict) {
	key, ok := x.res.Rules.URLKey(&x.q, selfURL(&x.q))
	if !ok || resp.ContentLength > x.res.MaxObject {
		return
	}
	to := c.place(x)
	to.key = key
	copied := &http.Response{StatusCode: resp.StatusCode, Header: resp.Header.Clone(), ContentLength: resp.ContentLength}
	l := newLanding(x.res, copied, v.Meta, x.res.Tags.of(x.r))
	ctx := context.WithoutCancel(x.ctx)
	resp.Body = &tee{ReadCloser: resp.Body, most: x.res.MaxObject, whole: func(body []byte) {
		c.keep(ctx, to, l.kept([][]byte{body}, int64(len(body)), nil))
	}}
}

// tee collects what is read, and gives it to whole when the body has ended well and is not too large.
type tee struct {
	io.ReadCloser
	most  int64
	buf   bytes.Buffer
	whole func([]byte) // nil: no more is collected
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
		t.whole(bytes.Clone(t.buf.Bytes())) // without the room to grow
		t.whole = nil
	}
	return n, err
}
