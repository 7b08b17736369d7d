package aggregate

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// PartialField names the parts that an answer lacks.
const PartialField = "X-Penstock-Partial"

// RoundTrip answers a GET or HEAD whose URL's path holds what was captured, one value a segment.
func (a *Aggregate) RoundTrip(req *http.Request) (*http.Response, error) {
	r, err := a.start(req)
	if err != nil {
		return nil, err
	}
	if req.Context().Err() != nil {
		return nil, req.Context().Err()
	}
	if failed := r.failed.Load(); failed != nil {
		return r.failure(failed)
	}
	body, failed := r.merge()
	if failed != nil {
		return r.failure(failed)
	}
	return r.response(body), nil
}

// merge puts the parts together. A part that can't be merged has failed.
func (r *run) merge() ([]byte, *Error) {
	for {
		parts := make([]Named, len(r.Parts))
		for i := range r.Parts {
			parts[i] = Named{r.Parts[i].Name, r.results[i].value}
		}
		if !r.Deep {
			return Namespace(parts), nil
		}
		body, conflict := Deep(parts)
		if conflict == nil {
			return body, nil
		}
		at := r.index(conflict.Part)
		failed := &Error{Part: conflict.Part, Kind: "proxy_internal_error", What: conflict.Error()}
		if r.Parts[at].OnError != Omit || r.results[at].value == nil {
			return nil, failed
		}
		r.results[at] = result{err: failed, retry: r.Retry}
	}
}

// response is the answer with body.
func (r *run) response(body []byte) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	r.caching(h)
	var partial, failures, caches, tags []string
	for i := range r.results {
		res, name := &r.results[i], r.Parts[i].Name
		if res.err != nil {
			partial = append(partial, name)
			failures = append(failures, r.proxyStatus(res.err))
		}
		if res.status != "" {
			caches = append(caches, res.status)
		}
		for _, a := range res.answers {
			tags = append(tags, a.tags...)
		}
	}
	setList(h, PartialField, partial)
	setList(h, "Proxy-Status", failures)
	setList(h, "Cache-Status", caches)
	if len(tags) > 0 {
		slices.Sort(tags)
		h[r.TagField] = []string{strings.Join(slices.Compact(tags), " ")}
	}
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	h["Etag"] = []string{tag}
	if slices.ContainsFunc(r.asked.Header["If-None-Match"], func(line string) bool { return strings.Contains(line, tag) }) {
		return r.make(http.StatusNotModified, h, nil)
	}
	return r.make(http.StatusOK, h, body)
}

// caching writes what the parts say of caching.
func (r *run) caching(h http.Header) {
	var parts []cachepolicy.Part
	for i := range r.results {
		res := &r.results[i]
		for _, a := range res.answers {
			parts = append(parts, a.facts)
		}
		if res.err != nil {
			parts = append(parts, cachepolicy.Part{Retry: max(res.retry, time.Second)})
		}
	}
	setDerived(h, r.Rules.Derive(parts))
}

func setDerived(h http.Header, d cachepolicy.Derived) {
	if d.CacheControl != "" {
		h["Cache-Control"] = []string{d.CacheControl}
	}
	if d.Age > 0 {
		h["Age"] = []string{strconv.FormatInt(int64(d.Age/time.Second), 10)}
	}
	if d.Vary != "" {
		h["Vary"] = []string{d.Vary}
	}
}

func setList(h http.Header, name string, members []string) {
	if len(members) > 0 {
		h[name] = []string{strings.Join(members, ", ")}
	}
}

// failure is the answer where a part is missing that must be there: with the status that the part was answered with, or an error.
func (r *run) failure(failed *Error) (*http.Response, error) {
	if failed.Code == 0 || failed.Header == nil {
		return nil, failed
	}
	body, err := json.Marshal(map[string]any{"error": failed.What, "part": failed.Part, "status": failed.Code})
	if err != nil {
		return nil, failed
	}
	h := http.Header{"Content-Type": {"application/json"}}
	facts := cachepolicy.Part{Status: failed.Code, Header: failed.Header, Received: r.Now(), Credentials: hasCredentials(r.asked.Header)}
	if i := r.index(failed.Part); i >= 0 {
		facts.Fields = r.Parts[i].Fields
	}
	setDerived(h, r.Rules.Derive([]cachepolicy.Part{facts}))
	h["Proxy-Status"] = []string{r.proxyStatus(failed)}
	for _, name := range [...]string{"Retry-After", "Www-Authenticate"} {
		if v := failed.Header[name]; len(v) > 0 {
			h[name] = v
		}
	}
	return r.make(failed.Code, h, append(body, '\n')), nil
}

func hasCredentials(h http.Header) bool { return len(h["Authorization"]) > 0 || len(h["Cookie"]) > 0 }

// proxyStatus is the member of Proxy-Status for a part that failed (RFC 9209).
func (r *run) proxyStatus(e *Error) string {
	if e.Code > 0 && e.Header != nil {
		return fmt.Sprintf("%s/%s; received-status=%d", r.Name, e.Part, e.Code)
	}
	return r.Name + "/" + e.Part + "; error=" + e.Kind
}

// make is a response with body; to a HEAD, without.
func (r *run) make(status int, h http.Header, body []byte) *http.Response {
	resp := &http.Response{
		StatusCode: status, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r.asked,
		ContentLength: int64(len(body)), Body: http.NoBody,
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	if status == http.StatusNotModified {
		delete(h, "Content-Length")
	}
	if r.asked.Method != http.MethodHead && len(body) > 0 {
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return resp
}

func isHit(status string) bool { return strings.Contains(status, "; hit") }

// eachStatus is the member of Cache-Status for all calls of a Foreach.
func eachStatus(name string, hits, all int) string {
	if hits == all {
		name += "; hit"
	} else {
		name += "; fwd=miss"
	}
	return fmt.Sprintf("%s; detail=\"%d of %d from cache\"", name, hits, all)
}
