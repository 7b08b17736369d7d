package admin

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/penstock/penstock/proxy/explain"
)

const maxExplainBody = 1 << 20

// serveExplain answers POST /explain.
func (c *Config) serveExplain(w http.ResponseWriter, r *http.Request) {
	var ask explain.Question
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxExplainBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ask); err != nil {
		refuseExplain(w, `the request is not what POST /explain takes: `+err.Error()+`; it takes JSON such as {"method": "GET", "url": "http://example.com/a"}`)
		return
	}
	e, err := c.Explain(r.Context(), ask)
	if err != nil {
		refuseExplain(w, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, e)
}

func refuseExplain(w http.ResponseWriter, why string) {
	answerJSON(w, http.StatusBadRequest, map[string]any{"status": "not explained", "errors": strings.Split(why, "\n")})
}
