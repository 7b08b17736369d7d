package edge

import (
	"net/http"
	"slices"
	"strings"
)

// MethodNotAllowed answers 405 with Allow (RFC 9110 §15.5.6). Use it if a path exists but not for
// the request's method.
func MethodNotAllowed(allowed []string) http.HandlerFunc {
	list := slices.Clone(allowed)
	slices.Sort(list)
	allow := strings.Join(slices.Compact(list), ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		WriteError(w, r, http.StatusMethodNotAllowed, requestDenied, "allowed here: "+allow)
	}
}
