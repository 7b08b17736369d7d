package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/penstock/penstock/proxy/cost"
)

// Costs connects GET /api/cost with a gateway.
type Costs struct {
	Now  func() *cost.Report                                                           // of this month
	Past func(context.Context, cost.Month) (report *cost.Report, kept bool, err error) // kept is false if there is no account
}

// ServeHTTP answers with the account of the month that the query names, or of this month if the
// query names no month.
func (c *Costs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	month := r.URL.Query().Get("month")
	if month == "" {
		writeReport(w, c.Now())
		return
	}
	m, ok := cost.ParseMonth(month)
	if !ok {
		c.refuse(w)
		return
	}
	report, kept, err := c.Past(r.Context(), m)
	switch {
	case !kept:
		writeReport(w, c.Now())
	case err != nil:
		answerJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "the account can't be read", "errors": []string{err.Error()}})
	default:
		writeReport(w, report)
	}
}

// refuse answers a request with a malformed month. If no account is configured, the answer is the
// same for every month.
func (c *Costs) refuse(w http.ResponseWriter) {
	if now := c.Now(); !now.Configured {
		writeReport(w, now)
		return
	}
	answerJSON(w, http.StatusBadRequest, map[string]any{"status": "bad request", "hint": "month is a month such as 2026-11"})
}

func writeReport(w http.ResponseWriter, r *cost.Report) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(r) // fails only if the client has gone
}
