package edge

import (
	"fmt"
	"net/http"

	"github.com/penstock/penstock/proxy/observe"
)

// HTTPSMode says what becomes of a request that did not come over HTTPS.
type HTTPSMode string

const (
	HTTPSOff      HTTPSMode = "off"      // it is served
	HTTPSRedirect HTTPSMode = "redirect" // 308 to the same URL with https
	HTTPSReject   HTTPSMode = "reject"   // 403
)

// RequireHTTPS returns the middleware for mode. It goes by the scheme and host that the guard found.
func RequireHTTPS(mode HTTPSMode) (func(http.Handler) http.Handler, error) {
	switch mode {
	case HTTPSOff, "":
		return func(next http.Handler) http.Handler { return next }, nil
	case HTTPSRedirect:
		return onlyHTTPS(redirectToHTTPS), nil
	case HTTPSReject:
		return onlyHTTPS(rejectHTTP), nil
	}
	return nil, fmt.Errorf("require_https: %q is none of off, redirect, reject", mode)
}

func onlyHTTPS(otherwise http.HandlerFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if observe.FromContext(r.Context()).Scheme == "https" {
				next.ServeHTTP(w, r)
				return
			}
			otherwise(w, r)
		})
	}
}

// redirectToHTTPS answers 308, which keeps method and body. The port is left out: the one of plain HTTP can't be that of HTTPS.
func redirectToHTTPS(w http.ResponseWriter, r *http.Request) {
	host, _, err := splitPort(r.Host)
	if err != nil {
		WriteError(w, r, http.StatusBadRequest, requestError, ErrHost.Error())
		return
	}
	w.Header().Set("Location", "https://"+host+r.URL.RequestURI())
	w.Header().Set("Cache-Control", "no-store")
	observe.FromContext(r.Context()).Status = http.StatusPermanentRedirect
	w.WriteHeader(http.StatusPermanentRedirect)
}

func rejectHTTP(w http.ResponseWriter, r *http.Request) {
	WriteError(w, r, http.StatusForbidden, requestDenied, "this resource is served over HTTPS only")
}
