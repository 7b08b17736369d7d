package paginate

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/rawjson"
)

// Origin names the next page in the header of pages that next answers with.
func (p *Pages) Origin(next http.RoundTripper) http.RoundTripper {
	if p.CursorParam == "" {
		return next
	}
	return &origin{p, next}
}

type origin struct {
	*Pages
	next http.RoundTripper
}

// RoundTrip makes the call.
func (o *origin) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(req)
	if err != nil || req.Method != http.MethodGet || resp.StatusCode != http.StatusOK || !isJSON(resp.Header) || resp.ContentLength > o.MaxBytes {
		return resp, err
	}
	if cursor := o.cursor(resp); cursor != "" && !hasNext(resp.Header) {
		ref := "?" + o.follow(req.URL.RawQuery, cursor)
		if o.OwnPath {
			ref = req.URL.EscapedPath() + ref
		}
		resp.Header["Link"] = append(slices.Clip(resp.Header["Link"]), "<"+escapeRef(ref)+`>; rel="next"`)
	}
	return resp, nil
}

// cursor looks into a page, and puts back what it has read. A page that is too long, or no JSON, has no next one that could be known.
func (o *origin) cursor(resp *http.Response) string {
	read, err := io.ReadAll(io.LimitReader(resp.Body, o.MaxBytes+1))
	rest := io.Reader(bytes.NewReader(read))
	switch {
	case err != nil:
		rest = io.MultiReader(rest, failing{err})
	case int64(len(read)) > o.MaxBytes:
		rest = io.MultiReader(rest, resp.Body)
	}
	resp.Body = &body{rest, resp.Body}
	if err != nil || int64(len(read)) > o.MaxBytes {
		return ""
	}
	doc, err := o.decoded(read, compress.HeaderCoding(resp.Header))
	if err != nil || rawjson.Check(doc, o.Depth) != nil {
		return ""
	}
	value, ok := o.Next.Select(doc)
	if !ok {
		return ""
	}
	cursor, _ := rawjson.Scalar(value)
	if cursor == "false" || len(cursor) > maxCursor {
		return ""
	}
	return cursor
}

// maxCursor is how long a cursor may be: it goes into a URL and a header field.
const maxCursor = 2048

// maxRatio bounds how much a coded page may grow.
const maxRatio = 400

func (o *origin) decoded(b []byte, coding compress.Coding) ([]byte, error) {
	if coding == compress.Identity {
		return b, nil
	}
	r, err := compress.NewReader(bytes.NewReader(b), coding, compress.Limit{Bytes: o.MaxBytes, Ratio: maxRatio})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// body is what was read and what follows, with the connection's own Close.
type body struct {
	io.Reader
	io.Closer
}

// failing fails.
type failing struct{ err error }

// Read fails.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

func isJSON(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// escapeRef keeps a reference inside its brackets.
func escapeRef(s string) string {
	return strings.NewReplacer("<", "%3C", ">", "%3E", `"`, "%22", " ", "%20").Replace(s)
}

// hasNext reports whether the origin names the next page itself.
func hasNext(h http.Header) bool { return nextOf(h) != "" }

// Follow is the URL of the page that follows on u, by the header of its response; nil: none.
func (p *Pages) Follow(u *url.URL, h http.Header) *url.URL {
	ref := nextOf(h)
	if ref == "" {
		return nil
	}
	to, err := url.Parse(ref)
	if err != nil {
		return nil
	}
	next := *u
	next.RawQuery = to.RawQuery // a page of the same list, wherever else the reference leads
	return &next
}

// nextOf is the target of the link with rel=next, "" for none (RFC 8288 §3).
func nextOf(h http.Header) string {
	for _, line := range h["Link"] {
		for line != "" {
			_, after, found := strings.Cut(line, "<")
			if !found {
				break
			}
			target, params, closed := strings.Cut(after, ">")
			if !closed {
				break
			}
			own, rest := cut(params, ',')
			if isNext(own) {
				return target
			}
			line = rest
		}
	}
	return ""
}

// cut parts s at the first sep outside of quotes.
func cut(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// isNext reports whether the parameters of a link make it the next page's: of several rel the first counts (RFC 8288 §3.3).
func isNext(params string) bool {
	for params != "" {
		var param string
		param, params = cut(params, ';')
		name, value, _ := strings.Cut(param, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
		return false
	}
	return false
}
