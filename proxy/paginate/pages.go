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

// maxCursor is the longest cursor that a link is made of.
const maxCursor = 4 << 10

// Pages is what is known of a route's pages. It is immutable and may be used concurrently.
type Pages struct {
	Limit  Limit
	Cursor string       // the parameter; "": there is none
	Next   rawjson.Path // where the next cursor is in a page
	// MaxBody is the largest content that is looked into; larger pages pass as they are, without a link.
	MaxBody int64
	// Path is the path, in escaped form, that the client asked for.
	Path func(req *http.Request) string
}

// Linked is an origin whose pages say which one follows.
type Linked struct {
	*Pages
	Origin http.RoundTripper // its answers have no content coding
}

// RoundTrip adds the link to the next page to one that is whole, is JSON, and has the cursor of another.
func (l *Linked) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.Origin.RoundTrip(req)
	if err != nil || req.Method != http.MethodGet || resp.StatusCode != http.StatusOK || !isJSON(resp.Header) || resp.ContentLength > l.MaxBody {
		return resp, err
	}
	source := resp.Body
	content, err := io.ReadAll(io.LimitReader(source, l.MaxBody+1))
	resp.Body = &body{io.MultiReader(bytes.NewReader(content), &rest{source, err}), source}
	if err != nil || int64(len(content)) > l.MaxBody {
		return resp, nil // whoever reads it meets the error, or the rest
	}
	cursor, ok := l.cursor(content)
	if _, linked := Next(resp.Header); ok && !linked {
		target := escapeTarget(l.Path(req) + "?" + l.following(req.URL.RawQuery, cursor))
		resp.Header["Link"] = append(resp.Header["Link"][:len(resp.Header["Link"]):len(resp.Header["Link"])], "<"+target+`>; rel="next"`)
	}
	return resp, nil
}

// cursor is the one of the next page. On the last it is not there, null or empty.
func (p *Pages) cursor(content []byte) (string, bool) {
	if rawjson.Check(content) != nil {
		return "", false
	}
	value, ok := p.Next.Find(content)
	if !ok {
		return "", false
	}
	text, ok := rawjson.Scalar(value)
	kind := rawjson.Kind(value)
	return text, ok && (kind == '"' || kind == '0') && text != "" && len(text) <= maxCursor
}

// isJSON reports whether the media type is JSON, or made of it (RFC 6839 §3.1).
func isJSON(h http.Header) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

// escapeTarget escapes what can't stand between < and > (RFC 8288 §3).
func escapeTarget(s string) string {
	return strings.NewReplacer("<", "%3C", ">", "%3E", `"`, "%22", " ", "%20").Replace(s)
}

// Next is the target of the first link to a next page.
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

// endOfLink is where the parameters of a link end: at a comma that is in no quoted string.
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

// isNext reports whether one of the relation types is next (RFC 8288 §3.3). Only the first rel counts.
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

// body is a content of which something was read.
type body struct {
	io.Reader
	io.Closer
}

// rest is what follows what was read, or the error that followed.
type rest struct {
	source io.Reader
	err    error
}

// Read goes on where the other stopped.
func (r *rest) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	return r.source.Read(p)
}
