package write

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// StatePath is where the states of writes are found, on the hosts of the routes that accept them.
const StatePath = "/.penstock/writes/"

const (
	// fullRetry and awayRetry are the Retry-After of a write that was not accepted, in seconds.
	fullRetry = 5
	awayRetry = 2

	maxKey = 255 // bytes of an Idempotency-Key
)

// keyField is the Idempotency-Key of draft-ietf-httpapi-idempotency-key-header.
const keyField = "Idempotency-Key"

// Behind accepts the writes of one route.
type Behind struct {
	Store   Store
	Name    string // of the gateway, in Cache-Status (RFC 9211)
	Route   string
	Policy  Policy
	MaxBody int64
	// Seen is how reads name what r changes; nil: they don't see it before it is applied.
	Seen func(r *http.Request) string
	// Queued is told of a write that reads are to see, before it is acknowledged; may be nil.
	Queued     func(r *http.Request)
	WriteError func(w http.ResponseWriter, r *http.Request, status int, kind, detail string)
	Now        func() time.Time
}

// Handler answers the methods that it accepts, PUT, PATCH, POST and DELETE; next has the others.
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
	// From here on the client's leaving changes nothing: half of a decision is none.
	id, err := b.Store.Add(context.WithoutCancel(r.Context()), write)
	switch {
	case err == nil:
		b.acknowledge(w, r, write, id)
	case errors.Is(err, ErrConflict):
		b.refuse(w, r, http.StatusUnprocessableEntity, "http_request_error", "this Idempotency-Key came with another request before")
	case errors.Is(err, ErrFull):
		w.Header().Set("Retry-After", strconv.Itoa(fullRetry))
		b.refuse(w, r, http.StatusServiceUnavailable, "connection_limit_reached", "too many writes are queued")
	default:
		observe.FromContext(r.Context()).Err = err
		w.Header().Set("Retry-After", strconv.Itoa(awayRetry))
		b.refuse(w, r, http.StatusServiceUnavailable, "proxy_internal_error", "writes can't be queued now; repeat it with the same Idempotency-Key")
	}
}

func (b *Behind) refuse(w http.ResponseWriter, r *http.Request, status int, kind, detail string) {
	ev := observe.FromContext(r.Context())
	ev.Status, ev.ProxyStatus = status, kind
	b.WriteError(w, r, status, kind, detail)
}

// read makes a Write of r. A status other than 0 says why that can't be.
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
		Query: r.URL.RawQuery, Header: kept(r.Header), Body: body, Accepted: b.Now(), Policy: b.Policy, Who: Credentials(r.Header),
	}
	write.Print = digest([]byte(r.Method), lines(r.Header["Content-Type"]), lines(r.Header["Content-Encoding"]), body)
	if len(key) == 1 {
		who := write.Who
		write.Key = digest([]byte(b.Route), []byte(write.Host), []byte(write.Path), []byte(write.Query), who[:], []byte(key[0]))
	} else {
		write.Header[keyField] = []string{`"` + write.ID + `"`}
	}
	if b.Seen != nil {
		write.Seen = b.Seen(r)
	}
	return write, 0, ""
}

// acknowledge answers 202 with the way to the write's state.
func (b *Behind) acknowledge(w http.ResponseWriter, r *http.Request, write *Write, id string) {
	if b.Queued != nil && write.Seen != "" {
		b.Queued(r)
	}
	ev := observe.FromContext(r.Context())
	ev.Status, ev.Queued = http.StatusAccepted, id
	location := StatePath + id
	body, _ := json.Marshal(map[string]any{"id": id, "location": location}) // of two texts
	h := w.Header()
	h.Set("Location", location)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Cache-Status", b.Name+"; detail=queued") // neither a hit nor forwarded
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(http.StatusAccepted)
	n, _ := w.Write(append(body, '\n')) // a client that is gone can ask again with its key
	ev.BytesOut = int64(n)
}

// notKept are the fields of a write that end here, or that follow from the message itself.
var notKept = []string{
	"Connection", "Content-Length", "Expect", "Http2-Settings", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Host",
}

func kept(h http.Header) http.Header {
	out := make(http.Header, len(h)+1)
	for name, values := range h {
		if !slices.Contains(notKept, name) {
			out[name] = slices.Clone(values)
		}
	}
	return out
}

// giveAccess are the fields that say who asks.
var giveAccess = [...]string{"Authorization", "Cookie", "Api-Key", "X-Api-Key", "X-Access-Token", "X-Auth-Token"}

// Credentials is the digest of what says who sent a request; zero where nothing does.
func Credentials(h http.Header) Digest {
	var parts [][]byte
	some := false
	for _, name := range giveAccess {
		parts = append(parts, lines(h[name]))
		some = some || len(h[name]) > 0
	}
	if !some {
		return Digest{}
	}
	return digest(parts...)
}

// lines joins the lines of a field; field values have no line breaks.
func lines(values []string) []byte {
	var b []byte
	for _, v := range values {
		b = append(append(b, v...), '\n')
	}
	return b
}

// Redacted is h for operators to see: what gives access is left out.
func Redacted(h http.Header) http.Header {
	out := h.Clone()
	for _, name := range giveAccess {
		if len(out[name]) > 0 {
			out[name] = []string{"(not shown)"}
		}
	}
	return out
}
