package batch

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/rawjson"
)

// inherit are the fields of a batch's answer that hold for each of its elements.
var inherit = [...]string{"Age", "Cache-Control", "Cdn-Cache-Control", "Content-Language", "Date", "Expires", "Pragma", "Surrogate-Key", "Vary", "Cache-Tag"}

// inherited is the header of an element. Validators are those of the whole answer, and stay behind, as do cookies; but an answer that sets some is made for
// one client.
func (l *Loader) inherited(h http.Header) http.Header {
	out := make(http.Header, len(inherit)+4)
	for _, name := range inherit {
		if v := h[name]; len(v) > 0 {
			out[name] = v
		}
	}
	if len(h["Set-Cookie"]) > 0 {
		out["Cache-Control"] = []string{"private"}
		delete(out, "Cdn-Cache-Control")
	}
	return out
}

// split gives each read its element, or the status for what is missing. Of two elements with one identifier the first counts.
func (l *Loader) split(reads []*read, h http.Header, items []byte) {
	found := make(map[string][]byte, len(reads))
	for e := range rawjson.Elements(items) {
		raw, ok := l.Key.Select(e)
		if !ok {
			continue
		}
		if id, ok := rawjson.Scalar(raw); ok && found[id] == nil {
			found[id] = e
		}
	}
	for _, rd := range reads {
		own := l.inherited(h)
		cachepolicy.Guard(rd.asked.Header, own)
		if e := found[rd.id]; e != nil {
			rd.body = bytes.Clone(e) // what is kept of one must not keep all
			rd.resp = &http.Response{StatusCode: http.StatusOK, Header: own}
			sum := sha256.Sum256(e)
			own["Etag"] = []string{`"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
			own["Content-Type"] = []string{"application/json"}
			continue
		}
		rd.missing(l.Missing, own)
	}
}

// missing is the answer for an identifier that is not there. How long that holds is for the route to say, not for the elements that are; but what
// keeps those from a cache keeps this as well.
func (rd *read) missing(status int, h http.Header) {
	var kept []string
	for _, line := range slices.Concat(h["Cache-Control"], h["Cdn-Cache-Control"]) {
		for directive := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
			switch name {
			case "private", "no-store", "no-cache":
				kept = append(kept, name)
			}
		}
	}
	for _, name := range [...]string{"Age", "Cache-Control", "Cdn-Cache-Control", "Expires", "Pragma"} {
		delete(h, name)
	}
	if len(kept) > 0 {
		h["Cache-Control"] = []string{strings.Join(kept, ", ")}
	}
	rd.resp = &http.Response{StatusCode: status, Header: h}
}

// answer is rd's response, a copy for each request.
func (rd *read) answer(req *http.Request) (*http.Response, error) {
	if rd.resp == nil {
		return nil, rd.err
	}
	body := rd.body
	h := rd.resp.Header.Clone()
	if body == nil && rd.resp.StatusCode >= 400 {
		body = fmt.Appendf(nil, "{\"error\":%q,\"status\":%d}\n", http.StatusText(rd.resp.StatusCode), rd.resp.StatusCode)
		h["Content-Type"] = []string{"application/json"}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	resp := &http.Response{
		StatusCode: rd.resp.StatusCode, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		ContentLength: int64(len(body)), Body: http.NoBody,
	}
	if req.Method != http.MethodHead {
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return resp, nil
}
