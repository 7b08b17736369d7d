package edge

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/penstock/penstock/proxy/observe"
)

// problem is the body of an error response (RFC 9457).
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// WriteError sends an error response of the gateway itself. The body is a problem document if the
// client accepts JSON, else text. The response is never stored. If proxyStatus is not empty, the
// response carries it as an error type in Proxy-Status (RFC 9209). detail is shown to the client:
// it must neither reveal internals nor repeat the client's input.
func WriteError(w http.ResponseWriter, r *http.Request, status int, proxyStatus, detail string) {
	body, contentType := errorBody(r, status, detail)
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Content-Range", "Etag", "Last-Modified", "Expires"} {
		delete(h, name) // they belong to another response
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if proxyStatus != "" {
		h.Set("Proxy-Status", ProxyStatus(proxyStatus))
	}
	ev := observe.FromContext(r.Context())
	ev.Status, ev.ProxyStatus = status, proxyStatus
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		n, _ := w.Write(body) // ignore the error of a client that is gone
		ev.BytesOut += int64(n)
	}
}

// ProxyStatus returns the Proxy-Status value for an error of the given RFC 9209 type.
func ProxyStatus(kind string) string { return "penstock; error=" + kind }

func errorBody(r *http.Request, status int, detail string) (body []byte, contentType string) {
	title := http.StatusText(status)
	if wantsJSON(r.Header["Accept"]) {
		if body, err := json.Marshal(problem{title, status, detail}); err == nil {
			return append(body, '\n'), "application/problem+json"
		}
	}
	return []byte(errorText(status, detail) + "\n"), "text/plain; charset=utf-8"
}

// wantsJSON reports whether Accept names a JSON type. Browsers, and clients that accept anything,
// get text.
func wantsJSON(accept []string) bool {
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			mediaType, parameters, _ := strings.Cut(strings.TrimSpace(item), ";")
			mediaType = strings.ToLower(strings.TrimSpace(mediaType))
			json := strings.HasSuffix(mediaType, "/json") || strings.HasSuffix(mediaType, "+json")
			if json && !refused(parameters) {
				return true
			}
		}
	}
	return false
}

func refused(parameters string) bool {
	q := strings.ReplaceAll(strings.ToLower(parameters), " ", "")
	return strings.HasPrefix(q, "q=0") && strings.Trim(q, "q=0.") == ""
}
