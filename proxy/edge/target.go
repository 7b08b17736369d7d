package edge

import (
	"net/http"
	"net/url"
)

// AtPath returns r with another canonical path, in escaped form. It leaves r alone.
func AtPath(r *http.Request, path string) *http.Request {
	if path == r.URL.EscapedPath() {
		return r
	}
	out, u := *r, *r.URL
	out.URL = &u
	if err := SetPath(&out, path); err != nil {
		return r // not of a canonical path, whose escapes are whole
	}
	return &out
}

// WithQuery returns r with another query. It leaves r alone.
func WithQuery(r *http.Request, query string) *http.Request {
	if query == r.URL.RawQuery && !r.URL.ForceQuery {
		return r
	}
	out, u := *r, *r.URL
	u.RawQuery, u.ForceQuery = query, false
	out.URL = &u
	return &out
}

// SetPath sets the path of r, given in escaped form. r's URL must be its own, not shared.
func SetPath(r *http.Request, path string) (err error) {
	u := r.URL
	if u.Path, err = url.PathUnescape(path); err != nil {
		return ErrPath
	}
	// Always set RawPath, so that a router that prefers it sees the canonical form of every
	// request, never the decoded one.
	u.RawPath = path
	r.RequestURI = path
	if u.RawQuery != "" || u.ForceQuery {
		r.RequestURI += "?" + u.RawQuery
	}
	return nil
}
