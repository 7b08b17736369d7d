package admin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/penstock/penstock/proxy/board"
	"github.com/penstock/penstock/proxy/explain"
	"github.com/penstock/penstock/proxy/write"
)

// Config connects the API with a gateway: the state that it shows and the actions that it triggers.
// Each function may be called concurrently.
type Config struct {
	// Token is the Bearer token that requests must carry. If it is empty, the API answers only
	// requests that are addressed to a loopback name.
	Token   string
	Version string
	// Reload does the same as a SIGHUP.
	Reload func(context.Context) error
	// Ready reports whether the gateway takes traffic. missing has the named upstreams that can't
	// be reached, each with the reason.
	Ready func(ctx context.Context, upstreams []string) (ready bool, missing map[string]string)
	// Parts adds the state of the write queue and of Redis to answer.
	Parts   func(answer map[string]any)
	Purges  Purges
	Writes  func() write.Store // of the running configuration; nil if it has no queue
	Costs   Costs
	Board   http.Handler // of the JSON under /api/
	Metrics http.Handler
	Advise  func() *Advice
	Explain func(context.Context, explain.Question) (*explain.Explanation, error)
}

// New returns the operators' API: GET /healthz (the process lives), GET /readyz (it takes traffic;
// with ?upstream=NAME: and a target of that upstream accepts connections), POST /reload, POST
// /purge, GET /metrics, POST /explain, GET /advice, the write queue under /writes, the JSON of
// package board under /api/, and its page at /. It belongs on a listener of its own. A token, or
// the check for a loopback name, keeps web pages from reaching it under a host name of their own
// (DNS rebinding).
//
// If a token is set, two kinds of requests do not need it: /healthz and /readyz, which then show
// the state alone, and the page with its scripts and styles, which contains no figures. Any other
// request without the token gets 401.
func New(c Config) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h http.Handler) { mux.Handle(pattern, authorized(c.Token, h)) }
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]any{"status": "ok"}
		if hasToken(c.Token, r) {
			answer["version"] = c.Version
		}
		answerJSON(w, http.StatusOK, answer)
	})
	mux.HandleFunc("GET /readyz", c.serveReady)
	handle("POST /reload", http.HandlerFunc(c.serveReload))
	handle("POST /purge", &purgeAPI{Purges: c.Purges})
	(&writesAPI{store: c.Writes}).register(mux, c.Token)
	handle("GET /api/cost", &c.Costs)
	handle("GET /api/", c.Board)
	mux.Handle("GET /{$}", board.Page())
	mux.Handle("GET /board/", board.Page())
	handle("GET /metrics", c.Metrics)
	handle("GET /advice", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, c.Advise()) }))
	handle("POST /explain", http.HandlerFunc(c.serveExplain))
	return http.NewCrossOriginProtection().Handler(ownNames(c.Token, mux))
}

func (c *Config) serveReload(w http.ResponseWriter, r *http.Request) {
	if err := c.Reload(r.Context()); err != nil {
		answerJSON(w, http.StatusUnprocessableEntity, map[string]any{"status": "kept the running configuration", "errors": strings.Split(err.Error(), "\n")})
		return
	}
	answerJSON(w, http.StatusOK, map[string]any{"status": "reloaded"})
}

// serveReady answers GET /readyz: 200 if the gateway takes traffic and a target of each upstream
// that the query names accepts connections, else 503. Without the token the answer holds the state
// alone, and does not tell an unreachable upstream from an unknown one.
func (c *Config) serveReady(w http.ResponseWriter, r *http.Request) {
	status, answer := http.StatusOK, map[string]any{"status": "ready"}
	ready, missing := c.Ready(r.Context(), r.URL.Query()["upstream"])
	if !ready || len(missing) > 0 {
		status, answer["status"] = http.StatusServiceUnavailable, "not ready"
	}
	if hasToken(c.Token, r) {
		if len(missing) > 0 {
			answer["upstreams"] = missing
		}
		if status == http.StatusOK {
			c.Parts(answer)
		}
	}
	answerJSON(w, status, answer)
}

// authorized answers 401 if a request lacks the token. The comparison takes the same time for every
// wrong token.
func authorized(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hasToken(token, r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="penstock admin"`)
			answerJSON(w, http.StatusUnauthorized, map[string]any{"status": "unauthorized", "hint": "send the admin.token of the configuration as a Bearer token"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hasToken reports whether r may see details for operators. It is true if r carries the token as
// its Bearer token, or if no token is configured. The scheme is case-insensitive (RFC 9110 §11.1).
func hasToken(token string, r *http.Request) bool {
	if token == "" {
		return true
	}
	scheme, given, ok := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	return ok && strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(strings.TrimLeft(given, " ")), []byte(token)) == 1
}

// ownNames refuses requests that name a host other than loopback, if no token protects the API.
func ownNames(token string, next http.Handler) http.Handler {
	if token != "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopbackName(r.Host) {
			answerJSON(w, http.StatusForbidden, map[string]any{"status": "forbidden", "hint": "address the admin listener as localhost, or set admin.token"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopbackName reports whether a Host field names this machine. An empty field does, and so does
// "unix".
func isLoopbackName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "" || strings.EqualFold(host, "localhost") || strings.EqualFold(host, "unix") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func answerJSON(w http.ResponseWriter, status int, v map[string]any) { writeJSON(w, status, v) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.Encode(v)
}
