package aggregate

import (
	"bytes"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/penstock/penstock/proxy/rawjson"
)

// demanded lists the fields without which a client cannot act on an error: RFC 9110 §15 requires or
// suggests each for some status.
var demanded = [...]string{
	"Accept", "Accept-Encoding", "Accept-Patch", "Accept-Ranges", "Allow", "Content-Range", "Proxy-Authenticate", "Retry-After", "Upgrade", "Www-Authenticate",
}

// maxExplanation is the maximum number of bytes of a part's own explanation that are passed on.
const maxExplanation = 16 << 10

// problem returns the body of an error response caused by part: a problem document (RFC 9457) that
// includes the part's own explanation.
func problem(part string, a *Answer) []byte {
	body := append([]byte(`{"title":`), rawjson.AppendQuoted(nil, http.StatusText(a.Status))...)
	body = append(body, `,"status":`+strconv.Itoa(a.Status)+`,"part":`...)
	body = rawjson.AppendQuoted(body, part)
	if said := explanation(a.Body); said != nil {
		body = append(append(body, `,"explanation":`...), said...)
	}
	return append(body, "}\n"...)
}

// explanation returns a part's content as a JSON value. It returns nil if the content is empty, too
// long or not text.
func explanation(content []byte) []byte {
	content = bytes.TrimSpace(content)
	if len(content) == 0 || len(content) > maxExplanation {
		return nil
	}
	if clean, err := rawjson.Clean(content); err == nil {
		return rawjson.Trim(clean)
	}
	if !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 {
		return nil
	}
	return rawjson.AppendQuoted(nil, string(content))
}
