package proxy

import (
	"encoding/json"
	"net/http"
	"strings"
)

const maxExplainBody = 1 << 20

// serveExplain is POST /explain.
func (g *Gateway) serveExplain(w http.ResponseWriter, r *http.Request) {
	var ask ExplainRequest
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxExplainBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ask); err != nil {
		refuseExplain(w, `the request is not what POST /explain takes: `+err.Error()+`; it takes JSON such as {"method": "GET", "url": "http://example.com/a"}`)
		return
	}
	e, err := g.Explain(r.Context(), ask)
	if err != nil {
		refuseExplain(w, err.Error())
		return
	}
	adminJSON(w, http.StatusOK, e)
}

func refuseExplain(w http.ResponseWriter, why string) {
	adminAnswer(w, http.StatusBadRequest, map[string]any{"status": "not explained", "errors": strings.Split(why, "\n")})
}
