package write

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/observe"
)

// StatePath is the path prefix of the states of writes, on the hosts of the routes that accept
// writes.
const StatePath = "/.penstock/writes/"

const (
	// fullRetry and awayRetry are the Retry-After values, in seconds, of a write that was not
	// accepted.
	fullRetry = 5
	awayRetry = 2
	// unsafeRetry applies if an operator must change the store's settings.
	unsafeRetry = 30

	maxKey = 255 // maximum length of an Idempotency-Key in bytes
)

// keyField is the Idempotency-Key field of draft-ietf-httpapi-idempotency-key-header.
const keyField = "Idempotency-Key"

// Behind accepts the writes of one route (write-behind).
type Behind struct {
	Store   Store
	Name    string // of the gateway, in Cache-Status (RFC 9211)
	Route   string
	Policy  Policy
	MaxBody int64
	// Seen returns the name under which reads find the resource that r changes. If it is nil, reads
	// do not see a write before it is applied.
	Seen func(r *http.Request) string
	// Order returns the value by which r is ordered. If it is nil, writes are ordered by path.
	Order func(r *http.Request) string
	// Queued is called for a write that reads must see, before the write is acknowledged. It may be
	// nil.
	Queued     func(r *http.Request)
	WriteError func(w http.ResponseWriter, r *http.Request, status int, kind, detail string)
	Now        func() time.Time
}

// Handler queues PUT, PATCH, POST and DELETE requests, and passes all others to next.
func (b *Behind) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPut, http.MethodPatch, http.MethodPost, http.MethodDelete:
			b.accept(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (b *Behind) accept(w http.ResponseWriter, r *http.Request) {
	write, status, detail := b.read(w, r)
	if status != 0 {
		b.refuse(w, r, status, "http_request_error", detail)
		return
	}
	// From here on a client that disconnects changes nothing: the write is added completely or not
	// at all.
	id, err := b.Store.Add(context.WithoutCancel(r.Context()), write)
	switch {
	case err == nil:
		b.acknowledge(w, r, write, id)
	case errors.Is(err, ErrConflict):
		b.refuse(w, r, http.StatusUnprocessableEntity, "http_request_error", "this Idempotency-Key was already used with another request")
	case errors.Is(err, ErrFull):
		w.Header().Set("Retry-After", strconv.Itoa(fullRetry))
		b.refuse(w, r, http.StatusServiceUnavailable, "connection_limit_reached", "too many writes are queued")
	case errors.Is(err, ErrUnsafe):
		observe.FromContext(r.Context()).Err = err
		w.Header().Set("Retry-After", strconv.Itoa(unsafeRetry))
		b.refuse(w, r, http.StatusServiceUnavailable, "proxy_internal_error", "writes are not accepted because the store may evict them")
	default:
		observe.FromContext(r.Context()).Err = err
		w.Header().Set("Retry-After", strconv.Itoa(awayRetry))
		b.refuse(w, r, http.StatusServiceUnavailable, "proxy_internal_error", "writes can't be queued now; repeat the request with the same Idempotency-Key")
	}
}

func (b *Behind) refuse(w http.ResponseWriter, r *http.Request, status int, kind, detail string) {
	ev := observe.FromContext(r.Context())
	ev.Status, ev.ProxyStatus = status, kind
	b.WriteError(w, r, status, kind, detail)
}

// read builds a Write from r. If it can't, it returns the status and the detail of the error
// response.
func (b *Behind) read(w http.ResponseWriter, r *http.Request) (write *Write, status int, detail string) {
	key := r.Header[keyField]
	if len(key) > 1 || len(key) == 1 && (key[0] == "" || len(key[0]) > maxKey) {
		return nil, http.StatusBadRequest, "Idempotency-Key must be one value of 1 to 255 bytes"
	}
	if r.ContentLength > b.MaxBody {
		return nil, http.StatusRequestEntityTooLarge, "the request body is too large to be queued"
	}
	var body []byte
	if r.Body != nil && r.ContentLength != 0 {
		var err error
		if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, b.MaxBody)); err != nil {
			if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
				return nil, http.StatusRequestEntityTooLarge, "the request body is too large to be queued"
			}
			return nil, http.StatusBadRequest, "the request body could not be read"
		}
	}
	write = &Write{
		ID: newID(), Route: b.Route, Method: r.Method, Scheme: observe.FromContext(r.Context()).Scheme, Host: r.Host, Path: r.URL.EscapedPath(),
		Query: r.URL.RawQuery, Header: forwardable(r.Header), Body: body, Accepted: b.Now(), Policy: b.Policy, Who: Credentials(r.Header, observe.FromContext(r.Context()).Credential),
	}
	write.Print = digest([]byte(r.Method), lines(r.Header["Content-Type"]), lines(r.Header["Content-Encoding"]), body)
	if len(key) == 1 {
		who := write.Who
		write.Key = digest([]byte(b.Route), []byte(write.Host), []byte(write.Path), []byte(write.Query), who[:], []byte(key[0]))
	} else {
		write.Header[keyField] = []string{`"` + write.ID + `"`}
	}
	if b.Order != nil {
		write.Order = b.Order(r)
	}
	if b.Seen != nil {
		write.Seen = b.Seen(r)
	}
	return write, 0, ""
}

// acknowledge answers 202 with the location of the write's state.
func (b *Behind) acknowledge(w http.ResponseWriter, r *http.Request, write *Write, id string) {
	if b.Queued != nil && write.Seen != "" {
		b.Queued(r)
	}
	ev := observe.FromContext(r.Context())
	ev.Status, ev.Queued = http.StatusAccepted, id
	location := StatePath + id
	// Two strings always have a JSON form.
	body, _ := json.Marshal(map[string]any{"id": id, "location": location})
	h := w.Header()
	h.Set("Location", location)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Cache-Status", b.Name+"; detail=queued") // neither a hit nor forwarded
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(http.StatusAccepted)
	n, _ := w.Write(append(body, '\n')) // a client that has gone can repeat the request with its key
	ev.BytesOut = int64(n)
}

// hopFields are the fields that are not stored with a write, because they end at this hop or follow
// from the message itself.
var hopFields = []string{
	"Connection", "Content-Length", "Expect", "Http2-Settings", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Host",
}

func forwardable(h http.Header) http.Header {
	out := make(http.Header, len(h)+1)
	for name, values := range h {
		if !slices.Contains(hopFields, name) {
			out[name] = slices.Clone(values)
		}
	}
	return out
}

// credentialFields are the fields that identify the sender.
var credentialFields = [...]string{"Authorization", "Cookie", "Api-Key", "X-Api-Key", "X-Access-Token", "X-Auth-Token"}

// Credentials returns a digest of the fields of a request that identify its sender, and of the
// credential by which a stage let it in. It returns the zero digest if the request has neither.
func Credentials(h http.Header, credential string) Digest {
	var parts [][]byte
	some := credential != ""
	if some {
		parts = append(parts, []byte("credential"), []byte(credential))
	}
	for _, name := range credentialFields {
		parts = append(parts, lines(h[name]))
		some = some || len(h[name]) > 0
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if cachepolicy.IdentifiesUser(name) && !slices.Contains(credentialFields[:], name) {
			parts = append(parts, []byte(name), lines(h[name]))
			some = true
		}
	}
	if !some {
		return Digest{}
	}
	return digest(parts...)
}

// lines joins the values of a field with line breaks, which no field value contains.
func lines(values []string) []byte {
	var b []byte
	for _, v := range values {
		b = append(append(b, v...), '\n')
	}
	return b
}

// Redacted returns a copy of h for operators, with the credentials replaced.
func Redacted(h http.Header) http.Header {
	out := h.Clone()
	for name := range out {
		if slices.Contains(credentialFields[:], name) || cachepolicy.IdentifiesUser(name) {
			out[name] = []string{"(not shown)"}
		}
	}
	return out
}
