package stats

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock/proxy/board"
)

func share(f float64) *float64 { return &f }

// sample returns a reading with a figure in each part.
func sample() *board.Stats {
	failed := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	f := board.Figures{
		Requests: 9000, PerSecond: 900, Hits: 8000, HitRatio: share(0.888), ByteHitRatio: share(0.9), Errors: 9, ErrorRatio: share(0.001), OriginRequests: 1000,
		BytesOut: 1e9, P50: share(0.019), P99: share(158),
	}
	return &board.Stats{
		At: failed.Add(10 * time.Second), Version: "v1", Ready: true, Uptime: 7300, Window: 10, Covered: 10, Total: f,
		Routes: []board.Route{{Route: "users", Figures: f}, {Route: "evil\x1b[2J", Figures: board.Figures{}}, {Route: "third", Figures: f}},
		Upstreams: []board.Upstream{{Name: "api", Targets: []board.Target{
			{URL: "http://127.0.0.1:1", State: "failing", Requests: 3, Failures: 3, FailedAt: &failed, LastError: "connection_refused"}, {URL: "http://127.0.0.1:2", State: "up"},
		}}},
		Tiers: []board.Tier{{Name: "memory", State: "up", Objects: 5, Bytes: 1e6, Size: 1e9, Hits: 3, Misses: 1}, {
			Name: "redis", State: "degraded", Since: &failed, Error: "purges of other instances are not known: dial tcp 127.0.0.1:6379: connect: " + strings.Repeat("x", 60),
		}},
	}
}

// TestViewFits checks that no line is longer than the terminal is wide, and that texts from outside
// cannot move the cursor.
func TestViewFits(t *testing.T) {
	for _, width := range []int{40, 56, 80, 120, 200} {
		s := &screen{width: width}
		s.view("127.0.0.1:9901", sample(), []float64{1, 5, 2}, 24)
		text := strings.Join(s.lines, "\n")
		for _, line := range s.lines[1:] {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("%d columns in %d: %q", n, width, line)
			}
		}
		for _, want := range []string{"900/s", "88.8%", "p99 158ms", "users", "failing", "degraded", "▂█▃", "redis: purges of other", "for 10 s"} {
			if !strings.Contains(text, want) && !(width < 80 && (want == "degraded" || want == "failing")) {
				t.Errorf("at %d columns there is no %q:\n%s", width, want, text)
			}
		}
		if strings.Contains(text, "\x1b") {
			t.Errorf("the view contains an escape sequence: %q", text)
		}
	}
	low := &screen{width: 80}
	low.view("x", sample(), nil, 12)
	if !strings.Contains(strings.Join(low.lines, "\n"), "2 more") {
		t.Errorf("the view does not say how many routes it leaves out:\n%s", strings.Join(low.lines, "\n"))
	}
	colours := &screen{width: 80, colour: true}
	colours.view("x", sample(), nil, 0)
	if text := strings.Join(colours.lines, "\n"); !strings.Contains(text, "\x1b[31m") || strings.Count(text, "\x1b[")%2 != 0 {
		t.Errorf("%q", text)
	}
}

const statsJSON = `{"at":"2026-11-24T12:00:00Z","ready":true,"covered_s":10,"total":{"requests":90,"per_second":9,"hit_ratio":0.5,"p50":1.25},"routes":[],"upstreams":[],"tiers":[]}`

const costJSON = `{"configured":true,"currency":"USD","month":"2026-11","total":{"spent":{"amount":"12.34"},"saved":{"amount":"56.78"},"saved_share":0.82},
"routes":[{"route":"api","spent":{"amount":"12.34"},"saved":{"amount":"56.78"}}],"projected":{"amount":"99.99"},
"budget":{"monthly":{"amount":"10.00"},"used_share":1.234,"alerts":[{"share":"80%","reached":true}]},"kept":{"in":"redis"}}`

// answering plays a gateway's admin API.
func answering(_ context.Context, path string) ([]byte, error) {
	if strings.HasPrefix(path, "/api/cost") {
		return []byte(costJSON), nil
	}
	return []byte(statsJSON + "\n"), nil
}

// TestOutputs checks the output of --once, of --json and of --cost.
func TestOutputs(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		want []string
	}{
		"once": {Options{Once: true}, []string{"requests 9/s", "hits 50.0%", "p50 1.2ms", "(none)"}},
		"json": {Options{Once: true, JSON: true}, []string{statsJSON + "\n"}},
		"cost": {Options{Cost: true}, []string{"cost of 2026-11, in USD, kept in redis", "spent 12.34", "saved 56.78 (82.0%)", "projected 99.99", "123.4% of the budget of 10.00", "total"}},
	} {
		var out bytes.Buffer
		c.o.Out, c.o.Get = &out, answering
		if err := Run(t.Context(), c.o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", name, want, &out)
			}
		}
	}
}

// TestLines checks that one line is printed each second, until an error ends the command.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	asked := 0
	gone := errors.New("gone")
	err := Run(t.Context(), Options{Out: &out, Get: func(ctx context.Context, path string) ([]byte, error) {
		if asked++; asked > 2 {
			return nil, gone
		}
		return answering(ctx, path)
	}})
	if !errors.Is(err, gone) || strings.Count(out.String(), "\n") != 2 || !strings.HasPrefix(out.String(), "2026-11-24T12:00:00Z requests=9/s hits=50.0% ") {
		t.Errorf("%v\n%s", err, &out)
	}
	if err := Run(t.Context(), Options{Out: &out, Once: true, Get: func(context.Context, string) ([]byte, error) { return []byte("<html>"), nil }}); err == nil {
		t.Error("an HTML page was accepted as figures")
	}
}
