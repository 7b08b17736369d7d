package cache

import (
	"bytes"
	"context"
	"io"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/store"
)

// storePosted arranges that the response to a POST is stored as the response to a GET of the same
// URL, after it has been relayed whole (RFC 9110 §9.3.3). It runs after the POST has invalidated
// that URL, so that this invalidation does not remove the response.
func (c *Cache) storePosted(x *request, a *fill.Answer, v *cachepolicy.Verdict) {
	resp := a.Response
	key, ok := x.res.Rules.URLKey(&x.View, selfURL(&x.View))
	if !ok || resp.ContentLength > x.res.MaxObject {
		return
	}
	to := c.tiers.Destination(&x.res.Policy, x.Key)
	to.Key = key
	d, _ := x.res.Draft(resp.StatusCode, resp.Header.Clone(), resp.ContentLength, &v.Meta, x.res.Tags.Joined(a.Tags, x.res.Tags.OfRequest(x.HTTP)))
	meta := v.Meta
	ctx := context.WithoutCancel(x.Ctx)
	resp.Body = &tee{ReadCloser: resp.Body, most: x.res.MaxObject, whole: func(body []byte) {
		c.tiers.Keep(ctx, to, d.Entry(&meta, store.NewBody(body)))
	}}
}

// tee collects the bytes that are read, and gives them to whole if the body ends well and is not
// too large.
type tee struct {
	io.ReadCloser
	most  int64
	buf   bytes.Buffer
	whole func([]byte) // nil: it collects nothing more
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
		t.whole(bytes.Clone(t.buf.Bytes())) // without spare capacity
		t.whole = nil
	}
	return n, err
}
