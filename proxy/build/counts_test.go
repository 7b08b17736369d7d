package build_test

import (
	"fmt"
	"net/http"
	"testing"

	. "github.com/penstock/penstock/test/gatewaytest"
)

// TestCombinedAreCounted: parts by what became of them, and calls of batches by their size.
func TestCombinedAreCounted(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ids":
			fmt.Fprint(w, `[1,2,3]`)
		case "/items":
			fmt.Fprint(w, `[{"id":1},{"id":2},{"id":3}]`)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	g := Start(t, "upstreams: {o: {targets: ["+o.URL+`]}}
cost: {origin_per_million_requests: 1, budget: {monthly: 100}}
routes:
  - {name: list, match: {path: /list}, aggregate: {parts: {ids: {upstream: o, path: /ids}, items: {foreach: "ids.#", batch: item}, gone: {upstream: o, path: /gone, on_error: null}}}}
  - {name: item, match: {path: "/item/{id}"}, batch: {upstream: o, path: "/items?ids={ids}", window: 500ms, key: id}}
`)
	if r := g.Get("/list"); r.Body != `{"ids":[1,2,3],"items":[{"id":1},{"id":2},{"id":3}],"gone":null}` {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	got := map[string]float64{}
	for _, f := range g.Metrics() {
		for _, p := range f.Points {
			name := f.Name
			for _, l := range p.Labels {
				name += " " + l.Value
			}
			got[name] = p.Value
		}
	}
	for name, want := range map[string]float64{
		"penstock_aggregate_parts_total list ids complete": 1, "penstock_aggregate_parts_total list items complete": 1, "penstock_aggregate_parts_total list gone replaced": 1,
		"penstock_batch_calls_total item complete 2-9": 1, "penstock_batch_ids_total item": 3,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if _, ok := got["penstock_cost_budget_used_ratio"]; !ok {
		t.Error("there is no metric of the budget")
	}
}
