package edge

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/penstock/penstock/proxy/observe"
)

// problem is the body of an error answer (RFC 9457).
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// WriteError answers with an error of the gateway's own making: as a problem detail where the client takes JSON, else as text; never stored, with the
// reason in Proxy-Status (RFC 9209) where there is one. detail is for the client: it must not tell what a client should not know, nor repeat what it
// sent.
func WriteError(w http.ResponseWriter, r *http.Request, status int, proxyStatus, detail string) {
	body, contentType := errorBody(r, status, detail)
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Content-Range", "Etag", "Last-Modified", "Expires"} {
		delete(h, name) // they were of another answer
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
		n, _ := w.Write(body) // a client that is gone needs no answer
		ev.BytesOut += int64(n)
	}
}

// ProxyStatus is the Proxy-Status value of an error of the given RFC 9209 type.
func ProxyStatus(kind string) string { return "penstock; error=" + kind }

func errorBody(r *http.Request, status int, detail string) (body []byte, contentType string) {
	title := http.StatusText(status)
	if wantsJSON(r.Header["Accept"]) {
		if body, err := json.Marshal(problem{title, status, detail}); err == nil {
			return append(body, '\n'), "application/problem+json"
		}
	}
	text := strconv.Itoa(status) + " " + title
	if detail != "" {
		text += ": " + detail
	}
	return []byte(text + "\n"), "text/plain; charset=utf-8"
}

// wantsJSON reports whether JSON is asked for by name. A browser, or a client that takes anything, gets text.
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
