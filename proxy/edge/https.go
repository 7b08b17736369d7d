package edge

import (
	"fmt"
	"net/http"

	"github.com/penstock/penstock/proxy/observe"
)

// HTTPSMode says how to handle a request that did not arrive over HTTPS.
type HTTPSMode string

const (
	HTTPSOff      HTTPSMode = "off"      // serve it
	HTTPSRedirect HTTPSMode = "redirect" // 308 to the same URL with https
	HTTPSReject   HTTPSMode = "reject"   // 403
)

// RequireHTTPS returns the middleware for mode. It relies on the scheme and host that the guard
// found.
func RequireHTTPS(mode HTTPSMode) (func(http.Handler) http.Handler, error) {
	switch mode {
	case HTTPSOff, "":
		return func(next http.Handler) http.Handler { return next }, nil
	case HTTPSRedirect:
		return onlyHTTPS(redirectToHTTPS), nil
	case HTTPSReject:
		return onlyHTTPS(rejectHTTP), nil
	}
	return nil, fmt.Errorf("require_https: %q is not a mode; write off, redirect or reject", mode)
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

// HTTPSStage returns the stage for mode, other than off. A connection may answer hits that came over HTTPS.
func HTTPSStage(mode HTTPSMode) (Stage, error) {
	wrap, err := RequireHTTPS(mode)
	if err != nil {
		return Stage{}, err
	}
	return Stage{
		Name: httpsStage, Wrap: wrap,
		OnHit: Check(func(at *Located) bool { return at.Scheme == "https" }),
		Explain: func(at *Located, e *Explanation) {
			switch {
			case at.Scheme == "https":
			case mode == HTTPSRedirect && at.Host != "":
				e.Refused = explainRedirect(at)
			default:
				e.Refuse(http.StatusForbidden, httpsOnly)
			}
		},
	}, nil
}

// explainRedirect says what redirectToHTTPS answers.
func explainRedirect(at *Located) *Refusal {
	target := at.Path
	if at.Query != "" {
		target += "?" + at.Query
	}
	host, _, err := splitPort(at.Host)
	if err != nil {
		return &Refusal{Status: http.StatusBadRequest, Detail: errorText(http.StatusBadRequest, ErrHost.Error())}
	}
	return &Refusal{Status: http.StatusPermanentRedirect, Location: "https://" + host + target}
}

// redirectToHTTPS answers 308, which keeps method and body. It drops the port: the port of plain
// HTTP cannot be that of HTTPS.
func redirectToHTTPS(w http.ResponseWriter, r *http.Request) {
	if r.Host == "" { // an HTTP/1.0 client named no host, so there is no URL to redirect to
		rejectHTTP(w, r)
		return
	}
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
	refuse(w, r, httpsStage, "plain_http", http.StatusForbidden, httpsOnly)
}

const httpsStage = "require_https"

const httpsOnly = "this resource is served over HTTPS only"
