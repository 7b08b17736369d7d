package edge

import (
	"net/http"

	"github.com/penstock/penstock/proxy/observe"
)

// refuse answers as WriteError does, for a stage that does not let the request pass. It records the
// stage and its reason in the request's Event. They are labels of metrics, so both must come from
// fixed lists.
func refuse(w http.ResponseWriter, r *http.Request, stage, reason string, status int, detail string) {
	ev := observe.FromContext(r.Context())
	ev.RefusedBy, ev.Refusal = stage, reason
	WriteError(w, r, status, requestDenied, detail)
}

// Refuse is refuse for the stages of other packages.
func Refuse(w http.ResponseWriter, r *http.Request, stage, reason string, status int, detail string) {
	refuse(w, r, stage, reason, status, detail)
}
