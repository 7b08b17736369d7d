package batch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// result is the response to one id. It is immutable.
type result struct {
	status int
	header http.Header
	body   []byte
}

// ofEach lists the fields of a response that hold for each of its elements. Its validator, length
// and cookies do not.
var ofEach = []string{
	"Access-Control-Allow-Credentials", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Age", "Cache-Control", "Cdn-Cache-Control",
	"Content-Language", "Date", "Expires", "Last-Modified", "Vary",
}

// derived returns the fields of w that hold for each element.
func (l *Loader) derived(w *whole) http.Header {
	h := make(http.Header, len(ofEach)+4)
	for _, names := range [][]string{ofEach, l.Fields} {
		for _, name := range names {
			if values := w.header[name]; len(values) > 0 {
				h[name] = values
			}
		}
	}
	if len(w.header["Set-Cookie"]) > 0 && !l.IgnoreCookies {
		delete(h, "Cdn-Cache-Control")
		h["Cache-Control"] = []string{"private, no-store"} // the response was for one client; the cookie itself cannot be passed on
	}
	return h
}

// found returns the response to an id with its element.
func (l *Loader) found(w *whole, element []byte) *result {
	h := l.derived(w)
	sum := sha256.Sum256(element)
	h["Etag"] = []string{`"` + hex.EncodeToString(sum[:16]) + `"`}
	h["Content-Type"] = []string{"application/json"}
	return &result{http.StatusOK, h, element}
}

// missing returns the response to an id that w lacks.
func (l *Loader) missing(w *whole) *result {
	h := l.derived(w)
	for _, name := range []string{"Expires", "Last-Modified"} {
		delete(h, name)
	}
	for _, name := range []string{"Cache-Control", "Cdn-Cache-Control"} {
		if !forbids(h[name]) {
			delete(h, name)
		}
	}
	h["Content-Type"] = []string{"application/json"}
	return &result{l.Missing, h, []byte(`{"error":"not found"}`)}
}

// forbids reports whether Cache-Control forbids sharing the response with other requests.
func forbids(lines []string) bool {
	for _, line := range lines {
		for directive := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "private", "no-cache":
				return true
			}
		}
	}
	return false
}

// demanded lists the fields without which a client cannot act on an error: RFC 9110 §15 requires or
// suggests each for some status.
var demanded = [...]string{
	"Accept", "Accept-Encoding", "Accept-Patch", "Accept-Ranges", "Allow", "Content-Range", "Proxy-Authenticate", "Retry-After", "Upgrade", "Www-Authenticate",
}

// failure returns the response to an id if the origin answered with an error. alone is true if the
// call was for this id only; then the response includes the origin's body.
func (l *Loader) failure(w *whole, alone bool) *result {
	h := l.derived(w)
	names := slices.Clone(demanded[:])
	res := &result{w.status, h, nil}
	if w.status < 400 { // a redirect, which is not followed, or a status that says nothing about an object
		return &result{http.StatusBadGateway, http.Header{"Cache-Control": {"no-store"}}, nil}
	}
	if alone {
		names, res.body = append(names, "Content-Type"), w.body
	}
	for _, name := range names {
		if values := w.header[name]; len(values) > 0 {
			h[name] = values
		}
	}
	return res
}

// refusal returns the response to a request that cannot be sent to the origin.
func refusal(status int, h http.Header) *result {
	h["Cache-Control"] = []string{"no-store"}
	return &result{status, h, nil}
}

// respond makes res the response to req.
func respond(req *http.Request, res *result) *http.Response {
	resp := &http.Response{
		StatusCode: res.status, Status: strconv.Itoa(res.status) + " " + http.StatusText(res.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: res.header.Clone(), ContentLength: int64(len(res.body)), Body: http.NoBody, Request: req,
	}
	resp.Header["Content-Length"] = []string{strconv.Itoa(len(res.body))}
	if req.Method != http.MethodHead {
		resp.Body = io.NopCloser(bytes.NewReader(res.body))
	}
	return resp
}
