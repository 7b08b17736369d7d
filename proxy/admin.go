package proxy

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/penstock/penstock/proxy/board"
	"github.com/penstock/penstock/proxy/write"
)

// Admin is the operators' API: GET /healthz (the process lives), GET /readyz (it takes traffic), POST /reload, POST /purge, GET /metrics, POST /explain,
// GET /advice, what writesAPI has of the queue of writes, the JSON of package board under /api/, and its page at /, which is nothing without it. It belongs
// on a listener of its own. token is asked for as a Bearer token where it is not ""; without one only requests addressed to a loopback name are answered, so that
// no web page can reach it by a name of its own (DNS rebinding). reload does what a SIGHUP does.
func (g *Gateway) Admin(token string, reload func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		adminAnswer(w, http.StatusOK, map[string]any{"status": "ok", "version": g.options.Version})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !g.ready.Load() {
			adminAnswer(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready"})
			return
		}
		adminAnswer(w, http.StatusOK, g.readiness())
	})
	mux.Handle("POST /reload", authorized(token, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := reload(r.Context()); err != nil {
			adminAnswer(w, http.StatusUnprocessableEntity, map[string]any{"status": "kept the running configuration", "errors": strings.Split(err.Error(), "\n")})
			return
		}
		adminAnswer(w, http.StatusOK, map[string]any{"status": "reloaded"})
	})))
	mux.Handle("POST /purge", authorized(token, g.purges()))
	(&writesAPI{store: func() write.Store { return g.snapshot.Load().writes }}).register(mux, token)
	mux.Handle("GET /api/cost", authorized(token, http.HandlerFunc(g.serveCost)))
	mux.Handle("GET /api/", authorized(token, g.board.Handler()))
	mux.Handle("GET /{$}", board.Page())
	mux.Handle("GET /board/", board.Page())
	mux.Handle("GET /metrics", authorized(token, g.scrapes()))
	mux.Handle("GET /advice", authorized(token, http.HandlerFunc(g.serveAdvice)))
	mux.Handle("POST /explain", authorized(token, http.HandlerFunc(g.serveExplain)))
	return http.NewCrossOriginProtection().Handler(ownNames(token, mux))
}

// readiness is what /readyz tells of a gateway that takes traffic. Without Redis it does, each instance for itself.
func (g *Gateway) readiness() map[string]any {
	answer := map[string]any{"status": "ready"}
	f := g.live.fleet
	if f == nil {
		return answer
	}
	health := f.Health()
	state := map[string]any{"state": "up", "server": health.Server, "since": health.Since.UTC().Format(time.RFC3339), "purges_current": f.purges.Current()}
	if !f.Usable() {
		state["state"] = "degraded"
		if health.Err != nil {
			state["error"] = health.Err.Error()
		}
	}
	answer["redis"] = state
	return answer
}

// authorized asks for the token. It takes the same time for every wrong one.
func authorized(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="penstock admin"`)
			adminAnswer(w, http.StatusUnauthorized, map[string]any{"status": "unauthorized", "hint": "send the admin.token of the configuration as a Bearer token"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ownNames refuses requests that name another host, where no token protects the API.
func ownNames(token string, next http.Handler) http.Handler {
	if token != "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopbackName(r.Host) {
			adminAnswer(w, http.StatusForbidden, map[string]any{"status": "forbidden", "hint": "address the admin listener as localhost, or set admin.token"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

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

func adminAnswer(w http.ResponseWriter, status int, v map[string]any) { adminJSON(w, status, v) }

func adminJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.Encode(v)
}
