package batch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// result is the answer to one id. It is immutable.
type result struct {
	status int
	header http.Header
	body   []byte
}

// ofEach are the fields of an answer that hold for each of its elements. Its validator, its length and its cookies do not.
var ofEach = []string{
	"Access-Control-Allow-Credentials", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Age", "Cache-Control", "Cdn-Cache-Control",
	"Content-Language", "Date", "Expires", "Last-Modified", "Vary",
}

// derived are the fields of w that hold for each element.
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
		h["Cache-Control"] = []string{"private, no-store"} // as with the cookie, which can't be passed on
	}
	return h
}

// found is the answer to an id whose element is there.
func (l *Loader) found(w *whole, element []byte) *result {
	h := l.derived(w)
	sum := sha256.Sum256(element)
	h["Etag"] = []string{`"` + hex.EncodeToString(sum[:16]) + `"`}
	h["Content-Type"] = []string{"application/json"}
	return &result{http.StatusOK, h, element}
}

// missing is the answer to an id that is not in w.
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

// forbids reports whether a Cache-Control keeps others from being given the response.
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

// failure is the answer to an id that the origin answered with an error. What it says of it is passed on where it was asked for that id alone.
func (l *Loader) failure(w *whole, alone bool) *result {
	h := l.derived(w)
	names := []string{"Retry-After", "Www-Authenticate"}
	res := &result{w.status, h, nil}
	if w.status < 400 { // it is a redirect, or a status that says nothing of an object: nobody follows it
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

// refusal is the answer to what can't be asked for.
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
