package stats

import (
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock/proxy/board"
	"github.com/penstock/penstock/proxy/cost"
)

// headline returns the line that `penstock stats` prints each second if its output is not a
// terminal.
func headline(s *board.Stats) string {
	t, over := &s.Total, max(s.Covered, 1)
	return fmt.Sprintf("%s requests=%s/s hits=%s bytes=%s p50=%s p99=%s errors=%s origin=%s/s out=%s/s", s.At.Format(time.RFC3339),
		count(t.PerSecond), percent(t.HitRatio), percent(t.ByteHitRatio), latency(t.P50), latency(t.P99), percent(t.ErrorRatio),
		count(float64(t.OriginRequests)/over), strings.ReplaceAll(size(float64(t.BytesOut)/over), " ", ""))
}

// view puts all figures on a screen of the given number of lines; 0 means no limit.
func (s *screen) view(where string, st *board.Stats, rates []float64, height int) {
	state, look := "ready", green
	if !st.Ready {
		state, look = "not ready", yellow
	}
	s.line(s.paint("penstock", bold) + " " + clean(where) + "  " + s.paint(state, look) + s.paint("  "+clean(st.Version)+"  up "+since(st.Uptime), faint))
	s.line("")
	s.summary(st)
	if len(rates) > 0 {
		s.line(s.paint(spark(rates, s.width), green))
	}
	s.line("")
	trouble := problems(st, s.width)
	rest := 1 << 20
	if height > 0 {
		rest = max(1, height-len(s.lines)-targets(st)-len(st.Tiers)-len(trouble)-6)
	}
	s.put(routes(st), rest)
	s.line("")
	s.put(upstreams(st), 1<<20)
	s.line("")
	s.put(tiers(st), 1<<20)
	for _, line := range trouble {
		s.line(s.paint(line, yellow))
	}
}

// problems says of each tier that is not up why, and for how long, on lines of the screen's width.
func problems(st *board.Stats, width int) (lines []string) {
	for _, t := range st.Tiers {
		if t.Error == "" {
			continue
		}
		text := t.Name + ": " + clean(t.Error)
		if t.Since != nil {
			text += ", for " + since(st.At.Sub(*t.Since).Seconds())
		}
		lines = append(lines, wrap(text, width)...)
	}
	return lines
}

func targets(st *board.Stats) (n int) {
	for _, u := range st.Upstreams {
		n += len(u.Targets)
	}
	return n
}

// summary puts the most important figures on as many lines as they take.
func (s *screen) summary(st *board.Stats) {
	t, over := &st.Total, max(st.Covered, 1)
	errors := plain
	if t.Errors > 0 {
		errors = red
	}
	parts := []struct {
		name, value string
		style       style
	}{
		{"requests", count(t.PerSecond) + "/s", bold}, {"hits", percent(t.HitRatio), bold}, {"bytes hit", percent(t.ByteHitRatio), bold},
		{"p50", latency(t.P50), bold}, {"p99", latency(t.P99), bold}, {"5xx", percent(t.ErrorRatio), errors},
		{"origin", count(float64(t.OriginRequests)/over) + "/s", plain}, {"out", size(float64(t.BytesOut)/over) + "/s", plain},
	}
	var line string
	used := 0
	for _, p := range parts {
		width := len([]rune(p.name)) + 1 + len([]rune(p.value))
		if used > 0 && used+3+width > s.width {
			s.line(line)
			line, used = "", 0
		}
		if used > 0 {
			line, used = line+"   ", used+3
		}
		line, used = line+s.paint(p.name, faint)+" "+s.paint(p.value, p.style), used+width
	}
	s.line(line)
}

func routes(st *board.Stats) *table {
	t := &table{heading: []string{"ROUTE", "REQ/S", "HITS", "BYTES", "P50", "P99", "5XX", "ORIGIN/S", "OUT/S"}}
	over := max(st.Covered, 1)
	for i := range st.Routes {
		r := &st.Routes[i]
		errors := faint
		if r.Errors > 0 {
			errors = red
		}
		t.rows = append(t.rows, []cell{
			{r.Route, bold}, {count(r.PerSecond), plain}, {percent(r.HitRatio), plain}, {percent(r.ByteHitRatio), plain}, {latency(r.P50), plain}, {latency(r.P99), plain},
			{percent(r.ErrorRatio), errors}, {count(float64(r.OriginRequests) / over), plain}, {size(float64(r.BytesOut) / over), plain},
		})
	}
	if len(t.rows) == 0 {
		t.rows = [][]cell{{{"(none)", faint}, {}, {}, {}, {}, {}, {}, {}, {}}}
	}
	return t
}

// looks maps states to styles.
var looks = map[string]style{"up": green, "failing": red, "degraded": yellow, "unused": faint}

func upstreams(st *board.Stats) *table {
	t := &table{heading: []string{"UPSTREAM", "TARGET", "STATE", "IN FLIGHT", "CALLS", "FAILED", "LAST FAILURE"}}
	for _, u := range st.Upstreams {
		for i, target := range u.Targets {
			name := u.Name
			if i > 0 {
				name = ""
			}
			failed := plain
			if target.Failures > 0 {
				failed = red
			}
			last := dash
			if target.FailedAt != nil {
				last = strings.ReplaceAll(target.LastError, "_", " ") + " " + since(st.At.Sub(*target.FailedAt).Seconds()) + " ago"
			}
			t.rows = append(t.rows, []cell{
				{name, bold}, {target.URL, plain}, {target.State, looks[target.State]}, {count(float64(target.InFlight)), plain}, {count(float64(target.Requests)), plain},
				{count(float64(target.Failures)), failed}, {last, faint},
			})
		}
	}
	return t
}

func tiers(st *board.Stats) *table {
	t := &table{heading: []string{"TIER", "STATE", "OBJECTS", "USED", "OF", "FOUND", "EVICTED", "NOT ADMITTED"}}
	for _, tier := range st.Tiers {
		row := []cell{{tier.Name, bold}, {tier.State, looks[tier.State]}}
		if tier.Size == 0 {
			t.rows = append(t.rows, append(row, cell{dash, faint}, cell{dash, faint}, cell{dash, faint}, cell{dash, faint}, cell{dash, faint}, cell{dash, faint}))
			continue
		}
		found := dash
		if looked := tier.Hits + tier.Misses; looked > 0 {
			share := float64(tier.Hits) / float64(looked)
			found = percent(&share)
		}
		t.rows = append(t.rows, append(row, cell{count(float64(tier.Objects)), plain}, cell{size(float64(tier.Bytes)), plain}, cell{size(float64(tier.Size)), plain},
			cell{found, plain}, cell{count(float64(tier.Evicted)), plain}, cell{count(float64(tier.Rejected)), plain}))
	}
	return t
}

// account puts the cost account on the screen.
func (s *screen) account(r *cost.Report, height int) {
	if !r.Configured {
		s.line("the gateway keeps no cost account: " + clean(r.Hint))
		return
	}
	projected := "not yet known"
	if r.Projected != nil {
		projected = r.Projected.Amount
	}
	s.line(s.paint("cost of "+string(r.Month), bold) + s.paint(", in "+clean(r.Currency)+", kept in "+r.Kept.In, faint))
	s.line("")
	share := r.Total.SavedShare
	s.line(s.paint("spent ", faint) + s.paint(r.Total.Spent.Amount, bold) + s.paint("   saved ", faint) + s.paint(r.Total.Saved.Amount, green) + s.paint(" ("+percent(&share)+")", faint) +
		s.paint("   month, projected ", faint) + projected)
	if b := r.Budget; b != nil {
		s.budget(b)
	}
	if r.Kept.Problem != "" {
		s.line(s.paint("not kept: "+clean(r.Kept.Problem), red))
	}
	s.line("")
	t := &table{heading: []string{"ROUTE", "SPENT", "SAVED", "SHARE", "REQUESTS", "ORIGIN CALLS", "AVOIDED", "OUT", "FROM ORIGIN", "SPARED"}}
	for i := range r.Routes {
		t.rows = append(t.rows, costRow(r.Routes[i].Route, &r.Routes[i], plain))
	}
	t.rows = append(t.rows, costRow("total", &r.Total, bold))
	rows := 1 << 20
	if height > 0 {
		rows = max(1, height-len(s.lines)-2)
	}
	s.put(t, rows)
}

func costRow(name string, l *cost.Line, st style) []cell {
	if name == "" {
		name = board.NoRoute
	}
	share := l.SavedShare
	return []cell{
		{name, bold}, {l.Spent.Amount, st}, {l.Saved.Amount, st}, {percent(&share), st}, {count(float64(l.Requests)), st}, {count(float64(l.OriginRequests)), st},
		{count(float64(l.OriginRequestsAvoided)), st}, {size(float64(l.BytesOut)), st}, {size(float64(l.BytesFromOrigin)), st},
		{size(float64(l.BytesSavedByCache + l.BytesSavedByCompression)), st},
	}
}

func (s *screen) budget(b *cost.BudgetReport) {
	look, used := plain, b.UsedShare
	for _, a := range b.Alerts {
		if a.Reached {
			look = yellow
		}
	}
	if used >= 1 {
		look = red
	}
	text := fmt.Sprintf("%s of the budget of %s", percent(&used), b.Monthly.Amount)
	if b.ProjectedShare != nil {
		text += fmt.Sprintf(", %s by the end of the month", percent(b.ProjectedShare))
	}
	s.line(s.paint(text, look))
}
