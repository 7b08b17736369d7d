package paginate

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/penstock/penstock/proxy/rawjson"
)

// maxCursor is the longest cursor for which a link is made.
const maxCursor = 4 << 10

// Pages describes a route's pages. It is immutable and may be used concurrently.
type Pages struct {
	Limit  Limit
	Cursor string       // the parameter; "": no cursor
	Next   rawjson.Path // where a page holds the next cursor
	// MaxBody is the largest content that is parsed. Larger pages pass unchanged, without a link.
	MaxBody int64
	// Path returns the path that the client requested, in escaped form.
	Path func(req *http.Request) string
	Name string // of the gateway, in Cache-Status (RFC 9211)
	// Unread, if not nil, is called with the reason why a page gets no link although a next page
	// may exist.
	Unread func(req *http.Request, why string)
}

// The reasons in Cache-Status why a page gets no link.
const (
	tooLarge  = "page-too-large"
	notJSON   = "page-not-json"
	codedPage = "page-coded"
	noCursor  = "cursor-unusable"
)

// Linked is an origin whose pages link to the next page.
type Linked struct {
	*Pages
	Origin http.RoundTripper // its answers must have no content coding
}

// RoundTrip adds the link to the next page if the page is complete, is JSON and holds a cursor. If
// it can't tell whether a next page exists, it says so in Cache-Status, because a client that
// follows links treats a page without a link as the last.
func (l *Linked) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.Origin.RoundTrip(req)
	if err != nil || req.Method != http.MethodGet || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	if _, linked := Next(resp.Header); linked {
		return resp, nil
	}
	cursor, why := l.look(resp)
	switch {
	case why != "":
		extend(resp.Header, "Cache-Status", l.Name+"/pages; detail="+why)
		if l.Unread != nil {
			l.Unread(req, why)
		}
	case cursor != "":
		target := escapeTarget(linkPath(l.Path(req)) + "?" + l.following(req.URL.RawQuery, cursor))
		extend(resp.Header, "Link", "<"+target+`>; rel="next"`)
	}
	return resp, nil
}

// linkPath returns a path for use in a link. A path that begins with // would be read as an
// authority (RFC 3986 §4.2), so the link then has only a query. It is relative to the URL that the
// client requested.
func linkPath(path string) string {
	if strings.HasPrefix(path, "//") {
		return ""
	}
	return path
}

// look reads a page's cursor and restores the page's content. If cursor and why are both "", the
// page is the last.
func (p *Pages) look(resp *http.Response) (cursor, why string) {
	switch coding := resp.Header.Get("Content-Encoding"); {
	case coding != "" && !strings.EqualFold(coding, "identity"):
		return "", codedPage
	case !mayBeJSON(resp.Header):
		return "", notJSON
	case resp.ContentLength > p.MaxBody:
		return "", tooLarge
	}
	source := resp.Body
	content, err := io.ReadAll(io.LimitReader(source, p.MaxBody+1))
	resp.Body = &body{io.MultiReader(bytes.NewReader(content), &rest{source, err}), source}
	switch {
	case err != nil:
		return "", "" // the reader of the content gets the error
	case int64(len(content)) > p.MaxBody:
		return "", tooLarge
	}
	return p.cursor(content)
}

// extend adds a line to a field. It copies the existing lines, which others may share.
func extend(h http.Header, name, line string) {
	lines := h[name]
	h[name] = append(lines[:len(lines):len(lines)], line)
}

// cursor returns the cursor of the next page, or why it can't be used. On the last page the cursor
// is missing, null, false or empty.
func (p *Pages) cursor(content []byte) (cursor, why string) {
	if len(bytes.TrimSpace(content)) == 0 {
		return "", ""
	}
	content, err := rawjson.Clean(content)
	if err != nil {
		return "", notJSON
	}
	value, ok := p.Next.Find(content)
	if !ok {
		if !p.Next.Lacks(content) && rawjson.Kind(content) == '{' {
			return "", noCursor
		}
		return "", "" // as in [], a page without a place for a cursor
	}
	text, ok := rawjson.Scalar(value)
	switch kind := rawjson.Kind(value); {
	case kind == 'n', kind == 'f':
		return "", ""
	case !ok || kind == 't' || len(text) > maxCursor:
		return "", noCursor
	}
	return text, ""
}

// mayBeJSON reports whether the media type is JSON, is based on it (RFC 6839 §3.1), or is a type
// that careless writers of JSON send. It also returns true without a Content-Type.
func mayBeJSON(h http.Header) bool {
	value := h.Get("Content-Type")
	if value == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(value)
	if err != nil {
		media, _, _ = strings.Cut(strings.ToLower(value), ";")
		media = strings.TrimSpace(media)
	}
	switch media {
	case "application/json", "text/json", "text/plain", "application/x-json", "application/octet-stream", "application/javascript", "text/javascript":
		return true
	}
	return strings.HasSuffix(media, "+json")
}

// escapeTarget escapes the characters that can't occur between < and > (RFC 8288 §3).
func escapeTarget(s string) string {
	return strings.NewReplacer("<", "%3C", ">", "%3E", `"`, "%22", " ", "%20").Replace(s)
}

// Next returns the target of the first link to a next page.
func Next(h http.Header) (*url.URL, bool) {
	for _, line := range h["Link"] {
		for rest := line; ; {
			_, after, found := strings.Cut(rest, "<")
			target, params, closed := strings.Cut(after, ">")
			if !found || !closed {
				break
			}
			end := endOfLink(params)
			if isNext(params[:end]) {
				u, err := url.Parse(target)
				return u, err == nil
			}
			rest = params[end:]
		}
	}
	return nil, false
}

// endOfLink returns the end of a link's parameters: a comma outside quoted strings, or the end of
// the text.
func endOfLink(params string) int {
	quoted := false
	for i := 0; i < len(params); i++ {
		switch c := params[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return i
		}
	}
	return len(params)
}

// isNext reports whether one of the relation types is next (RFC 8288 §3.3). Only the first rel
// counts.
func isNext(params string) bool {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for relation := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(relation, "next") {
				return true
			}
		}
		return false
	}
	return false
}

// body is a partly read content.
type body struct {
	io.Reader
	io.Closer
}

// rest is the unread content, or the error that ended the reading.
type rest struct {
	source io.Reader
	err    error
}

// Read continues after the bytes that were already read.
func (r *rest) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	return r.source.Read(p)
}
