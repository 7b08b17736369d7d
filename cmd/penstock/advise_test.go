package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/proxy/admin"
	"github.com/penstock/penstock/proxy/advice"
)

// TestAdvise asks a gateway for advice on its traffic. The YAML to paste is printed unchanged.
func TestAdvise(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	p, get := purging(t, "127.0.0.1:"+freePort(t))
	for i := range 120 {
		get(fmt.Sprintf("/a?utm_source=%d", i))
	}
	code, stdout, stderr := execute("advise", "--config", p.config)
	for _, want := range []string{"from 120 requests in ", "1. route all: exclude the parameters from the key", "- utm_source is in 100 % of its requests", "under the route all:", `      exclude: ["utm_*"]`} {
		if code != exitDone || !strings.Contains(stdout, want) && !strings.Contains(strings.Join(strings.Fields(stdout), " "), strings.TrimSpace(want)) {
			t.Errorf("code %d, %q lacks %q:\n%s", code, stderr, want, stdout)
		}
	}
	var a admin.Advice
	if code, stdout, _ := execute("advise", "--json", "--config", p.config); code != exitDone || json.Unmarshal([]byte(stdout), &a) != nil || len(a.Advice) == 0 {
		t.Errorf("code %d, %s", code, stdout)
	}
	if code, _, stderr := execute("advise", "--config", p.config, "--token", "wrong"); code != exitUsage || !strings.Contains(stderr, tokenVariable) {
		t.Errorf("code %d, %q", code, stderr)
	}
}

func TestPrintAdvice(t *testing.T) {
	var b strings.Builder
	a := &admin.Advice{Since: 60, Requests: 3, Advice: []advice.Advice{{Subject: "route a", Advice: "do it", Evidence: []string{"because"}, Where: "under the route a", YAML: "x:\n  y: 1\n", Caution: "mind"}}}
	if err := printAdvice(&b, a); err != nil {
		t.Fatal(err)
	}
	want := "from 3 requests in 1m:\n\n1. route a: do it\n   - because\n   ! mind\n   under the route a:\n     x:\n       y: 1\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
	b.Reset()
	if err := printAdvice(&b, &admin.Advice{}); err != nil || !strings.Contains(b.String(), "no advice") {
		t.Errorf("%v: %s", err, &b)
	}
}
