package deploy

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// board is as much of a Grafana board as is looked at.
type board struct {
	UID    string  `json:"uid"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID      int    `json:"id"`
	Title   string `json:"title"`
	Type    string `json:"type"`
	GridPos struct{ X, Y, W, H int }
	Targets []struct {
		RefID      string            `json:"refId"`
		Expr       string            `json:"expr"`
		Datasource map[string]string `json:"datasource"`
	} `json:"targets"`
}

// metrics are the names that an expression selects, or why it can't be read.
func metrics(expr string) (names []string, err error) {
	for variable, value := range map[string]string{"$__rate_interval": "1m", "$__range": "1h"} {
		expr = strings.ReplaceAll(expr, variable, value)
	}
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil, err
	}
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			names = append(names, v.Name)
		}
		return nil
	})
	return names, nil
}

// expressions are those of the rules and of the board, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	rules, errs := rulefmt.Parse([]byte(read(t, "prometheus/alerts.yaml")), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.Default())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			all["alert "+r.Alert] = r.Expr
			if r.Alert == "" || r.Annotations["summary"] == "" || !slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) {
				t.Errorf("alert %q lacks a summary or a severity", r.Alert)
			}
		}
	}
	for _, p := range grafana(t).Panels {
		for _, target := range p.Targets {
			all[fmt.Sprintf("panel %q %s", p.Title, target.RefID)] = target.Expr
		}
	}
	return all
}

func grafana(t *testing.T) *board {
	t.Helper()
	b := new(board)
	if err := json.Unmarshal([]byte(read(t, "grafana/boards/penstock.json")), b); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestExpressions: Prometheus' own parser reads each of them, and it asks for something.
func TestExpressions(t *testing.T) {
	for where, expr := range expressions(t) {
		names, err := metrics(expr)
		if err != nil || len(names) == 0 {
			t.Errorf("%s: %v: %s", where, err, expr)
		}
	}
}

// TestBoard: each panel has an identity, a place of its own, and the data source that is chosen on the board. A uid would hold in one Grafana only.
func TestBoard(t *testing.T) {
	text := read(t, "grafana/boards/penstock.json")
	for _, uid := range regexp.MustCompile(`"uid": "([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if uid[1] != "${datasource}" && uid[1] != "penstock" {
			t.Errorf("the board names the data source %q", uid[1])
		}
	}
	if !regexp.MustCompile(`"name": "datasource",\s+"label": "[^"]+",\s+"type": "datasource",\s+"query": "prometheus"`).MatchString(text) {
		t.Error("the board does not ask for its data source")
	}
	seen, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range grafana(t).Panels {
		if seen[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q has no identity, title or target of its own", p.ID, p.Title)
		}
		seen[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, ok := taken[at]; ok || at[0] >= 24 {
					t.Fatalf("panel %q lies over %q", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		for _, target := range p.Targets {
			if target.Datasource["uid"] != "${datasource}" {
				t.Errorf("panel %q asks the data source %q, not the one that is chosen", p.Title, target.Datasource["uid"])
			}
		}
	}
}

// TestAlertsNeedNoJob: a rule that selects by job alone is silent wherever the job is called something else.
func TestAlertsNeedNoJob(t *testing.T) {
	for where, expr := range expressions(t) {
		if strings.Contains(expr, "job=") && !strings.Contains(expr, "present_over_time(penstock_") {
			t.Errorf("%s holds for one job's name only: %s", where, expr)
		}
	}
}
