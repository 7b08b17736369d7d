package fill

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/deliver"
)

// combine joins a 206 with the stored parts (RFC 9111 §3.4) and answers all waiting requests from
// the union. The stored object limit also bounds the parts, so combine reads the new part
// completely before the gateway sends a byte. It returns true if the fill must ask for the whole
// response instead: the part has no usable Content-Range, is too large, has another coding, or does
// not complete the requested bytes.
func (fl *Filler) combine(ctx context.Context, j *Job, resp *http.Response, v *cachepolicy.Verdict, out cachepolicy.CacheStatus) (again bool) {
	defer deliver.Discard(resp)
	part, _, ok := cachepolicy.ParseContentRange(resp.Header.Get("Content-Range"))
	if !ok || part.Len() > j.Request.Route.MaxObject || compress.HeaderCoding(resp.Header) != j.Stored.Representations[0].Coding {
		return true
	}
	if !v.Meta.Complete() && cachepolicy.PlanRange(&j.Request.View, &v.Meta).Kind == cachepolicy.Missing {
		return true
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, part.Len()+1))
	j.Event.BytesFromOrigin += int64(len(body))
	if err == nil && int64(len(body)) != part.Len() {
		err = fmt.Errorf("%d bytes came of a part of %d", len(body), part.Len())
	}
	if err != nil {
		fl.failed(j, &deliver.Failure{
			Status: http.StatusBadGateway, ProxyError: "http_response_incomplete", Detail: deliver.FailureDetail(http.StatusBadGateway),
			Err: fmt.Errorf("reading a part of the origin's response: %w", err),
		})
		return false
	}
	e := j.Request.Route.Combined(j.Stored, body, part, v, j.to.TagsAfter(j.Stored))
	if e.Representations[0].Body.Size <= j.Request.Route.MaxObject {
		j.Kept, out.Stored = e, fl.Tiers.Keep(ctx, j.to, e) || fl.Tiers.Shares(&j.Request.Route.Policy)
	}
	fl.announceStored(j, e, nil, out)
	return false
}
