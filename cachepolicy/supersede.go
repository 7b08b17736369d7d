package cachepolicy

import (
	"net/http"
	"slices"
	"time"
)

// refusals lists the statuses by which an origin refuses the resource, or says that it is gone.
var refusals = []int{
	http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone,
	http.StatusLocked, http.StatusUnavailableForLegalReasons,
}

// credentialRefusals lists the refusals that may concern the request's credentials and not the resource.
var credentialRefusals = []int{http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden}

// Supersedes reports whether an answer with the given status to q, which is not stored for the
// reason why, removes the stored response. Otherwise clients would get old content for the whole
// stale window, which may be a year, while each refresh discards the origin's newer answer.
//
//   - A success or a redirect removes it: the origin has something new, even if that must not be
//     stored.
//   - A refusal of the resource removes it, such as 403, 404, 405, 410 or 451.
//   - An error that a single request's fields can cause (400, 406, 414, 431 and the like) does not,
//     and neither does a failure of the origin: the first says nothing about the resource, and the
//     second is the case for stale-if-error.
//   - If q has credentials (Authorization, or a cookie that counts), 401, 402 and 403 do not remove
//     it, because they may concern these credentials, and other clients would lose their response.
//     Any other answer to such a request removes only a response that is stale at now: the answer
//     was made for this client, and one client must not remove a response that is fresh for all
//     others.
func (r *Rules) Supersedes(q *Request, stored *Meta, status int, why Reason, now time.Time) bool {
	if why == ReasonRequestNoStore || status >= 400 && !slices.Contains(refusals, status) {
		return false
	}
	if !r.hasCredentials(q) {
		return true
	}
	return !slices.Contains(credentialRefusals, status) && !stored.Fresh(now)
}
