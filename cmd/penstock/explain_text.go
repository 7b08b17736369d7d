package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/penstock/penstock/proxy/explain"
)

// printExplanation prints e as text: one section for each step of the request, one line for each
// fact.
func printExplanation(w io.Writer, e *explain.Explanation) error {
	p := &page{tabs: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	p.request(e)
	p.routes(e)
	for _, name := range e.Unexplained {
		p.line("route", "the stage %s can't explain itself: the rest is explained as if it let the request pass", name)
	}
	for _, note := range e.Notes {
		p.line("route", "%s", note)
	}
	p.cors(e.CORS)
	if e.Refused != nil {
		p.refused(e.Refused)
		return p.tabs.Flush()
	}
	p.key(e)
	p.grounds("client", e.Client)
	p.stored(e)
	p.decision(e)
	p.response(e)
	p.coding(e)
	p.answer(e)
	p.remedies(e)
	return p.tabs.Flush()
}

// page prints lines in two columns; the first is the name of the section.
type page struct {
	tabs    *tabwriter.Writer
	section string
}

// line prints one line. The name of a section stands only on its first line.
func (p *page) line(section, format string, args ...any) {
	name := section
	if section == p.section {
		name = ""
	}
	p.section = section
	fmt.Fprintf(p.tabs, "%s\t%s\n", name, fmt.Sprintf(format, args...))
}

func (p *page) request(e *explain.Explanation) {
	q := &e.Request
	url := q.Scheme + "://" + q.Host + q.Path
	if q.Query != "" {
		url += "?" + q.Query
	}
	p.line("request", "%s %s", q.Method, url)
	if q.Target != "" {
		p.line("request", "goes upstream as %s", q.Target)
	}
}

func (p *page) routes(e *explain.Explanation) {
	if e.Route == "" && len(e.Routes) > 0 {
		p.line("route", "none")
	}
	for _, chosen := range []bool{true, false} {
		for _, r := range e.Routes {
			if r.Chosen != chosen {
				continue
			}
			mark := "not"
			if chosen {
				mark = "is"
			}
			p.line("route", "%s %s (%s): %s", mark, r.Name, r.Match, r.Why)
		}
	}
}

func (p *page) refused(no *explain.Refusal) {
	p.line("answer", "%d %s, by %s", no.Status, http.StatusText(no.Status), no.By)
	for _, more := range []struct{ name, text string }{{"", no.Detail}, {"Location: ", no.Location}, {"Allow: ", no.Allow}, {"Stage: ", no.Stage}, {"Why: ", no.Why}} {
		if more.text != "" {
			p.line("answer", "%s%s", more.name, more.text)
		}
	}
}

func (p *page) cors(c *explain.CORS) {
	if c == nil {
		return
	}
	if c.Why != "" {
		p.line("cors", "%s", c.Why)
	}
	for _, line := range c.Fields {
		p.line("cors", "%s", line)
	}
}

func (p *page) key(e *explain.Explanation) {
	if e.Key == nil {
		p.line("key", "none: the request bypasses the cache")
		return
	}
	p.line("key", "%s…", e.Key.Hash)
	for _, part := range e.Key.Parts {
		values := strings.Join(part.Values, " | ")
		if values == "" {
			values = "(none)"
		}
		p.line("key", "  %-8s %s", part.Name, values)
	}
	for _, q := range e.Key.Query {
		if q.Kept && q.Why == "no rule leaves it out" {
			continue
		}
		verb := "left out"
		if q.Kept {
			verb = "kept"
		}
		why := q.Why
		if q.Pattern != "" {
			why += " " + q.Pattern
		}
		p.line("key", "  %s: %s (%s)", verb, q.Param, why)
	}
}

// grounds prints each reason, with "+" if it counted and "-" if it did not.
func (p *page) grounds(section string, list []explain.Ground) {
	for _, g := range list {
		mark, what := "+", g.Source
		if !g.Counts {
			mark = "-"
		}
		if g.Text != "" {
			what += ": " + g.Text
		}
		p.line(section, "%s %s: %s", mark, what, g.Says)
	}
}

func (p *page) stored(e *explain.Explanation) {
	s := e.Stored
	if s == nil {
		p.line("stored", "nothing for this request")
	} else {
		p.line("stored", "%d in %s, received %s", s.Status, s.Tier, s.Stored)
		p.line("stored", "age %s of %s, %s", span(s.Age), span(s.Lifetime), left(s.TTL))
		if s.Revalid > 0 || s.Error > 0 {
			p.line("stored", "stale-while-revalidate %s, stale-if-error %s", span(s.Revalid), span(s.Error))
		}
		p.facts(s)
	}
	for _, v := range e.Variants {
		why := "other variant"
		switch {
		case v.Purged:
			why = "purged"
		case v.Cookie:
			why = "not for requests with cookies"
		}
		p.line("stored", "also, %s: %s", why, varyText(v.Vary))
	}
}

func (p *page) facts(s *explain.Stored) {
	if len(s.Flags) > 0 {
		p.line("stored", "flags %s", strings.Join(s.Flags, ", "))
	}
	if s.Soft {
		p.line("stored", "softly purged, and stale since then")
	}
	if s.Doubted {
		p.line("stored", "validated before each use: this instance has been cut off from Redis for longer than cache.redis.max_cut_off and may have missed purges")
	}
	if s.ETag != "" || s.Modified != "" {
		p.line("stored", "can be validated: %s", strings.TrimSpace(s.ETag+" "+s.Modified))
	}
	if len(s.Vary) > 0 {
		p.line("stored", "variant of %s", varyText(s.Vary))
	}
	if len(s.Tags) > 0 {
		p.line("stored", "tags %s", strings.Join(s.Tags, " "))
	}
	var forms []string
	for _, f := range s.Forms {
		forms = append(forms, fmt.Sprintf("%s %d bytes", f.Coding, f.Size))
	}
	p.line("stored", "holds %s", strings.Join(forms, ", "))
}

func varyText(fields []explain.Vary) string {
	var out []string
	for _, f := range fields {
		text := f.Name + " absent"
		if f.Present {
			text = f.Name + ": " + f.Value
		}
		if !f.Matches {
			text += " (this request differs)"
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		return "all requests"
	}
	return strings.Join(out, "; ")
}

func (p *page) decision(e *explain.Explanation) {
	d := e.Decision
	p.line("decision", "%s: %s", d.Action, d.Why)
	if d.EarlyShare > 0 {
		p.line("decision", "%s of such requests refresh it before it expires (early_refresh)", percent(d.EarlyShare))
	}
	if d.HeldDown {
		p.line("decision", "the origin failed recently: the gateway does not ask it again yet")
	}
	if d.Alone {
		p.line("decision", "recent responses for this key were not shareable: the request does not wait for another request's fill")
	}
	for _, line := range d.Asks {
		p.line("decision", "the request to the origin carries %s", line)
	}
}

func percent(share float64) string {
	if share < 0.001 {
		return "less than 0.1 %"
	}
	return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
}

func (p *page) response(e *explain.Explanation) {
	r := e.Response
	if r == nil {
		return
	}
	switch {
	case r.From == "assumed":
		p.line("response", "not known; assumed to be a 200 without caching headers (give it with --response, or fetch it with --fetch)")
		if r.Error != "" {
			p.line("response", "%s", r.Error)
		}
	case r.Error != "":
		p.line("response", "%s: %s", r.From, r.Error)
	default:
		p.line("response", "%s: %d %s", r.From, r.Status, http.StatusText(r.Status))
	}
	if r.Rule > 0 {
		effect := "changes nothing: the origin sends its own Cache-Control"
		if r.Rewritten {
			effect = "sets its Cache-Control"
		}
		p.line("response", "cache_control[%d] matches it and %s", r.Rule-1, effect)
	}
	p.grounds("response", r.Grounds)
	p.verdict(r)
	if r.Page != "" {
		p.line("response", "replaced by an error page: %s", r.Page)
	}
}

func (p *page) verdict(r *explain.Response) {
	switch {
	case r.Stores && r.Lifetime <= 0:
		p.line("response", "= stored, but stale immediately")
	case r.Stores:
		p.line("response", "= stored, fresh for %s (%s)", span(r.Lifetime), r.Named)
	case r.Why == "":
		p.line("response", "= %s", r.Effect)
	default:
		p.line("response", "= %s: %s", map[bool]string{true: "not stored", false: r.Effect}[r.Effect == "relay"], r.Why)
	}
}

func (p *page) coding(e *explain.Explanation) {
	k := e.Coding
	if k == nil {
		return
	}
	p.line("coding", "%s: %s", k.Sent, k.Why)
	if len(k.Derivable) > 0 {
		p.line("coding", "from %s the gateway can make %s", strings.Join(k.Held, ", "), strings.Join(k.Derivable, ", "))
	}
}

func (p *page) answer(e *explain.Explanation) {
	a := e.Answer
	status := "depends on the origin's response"
	switch {
	case a.Status > 0:
		status = fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))
	case a.Whole:
		status = "the origin's own"
	}
	p.line("answer", "%s", status)
	more := ""
	if !a.Whole {
		more = " …"
	}
	p.line("answer", "Cache-Status: %s%s", a.CacheStatus, more)
}

func (p *page) remedies(e *explain.Explanation) {
	switch {
	case len(e.Remedies) == 0 && e.Cacheable:
		p.line("to cache", "cacheable as it is")
		return
	case len(e.Remedies) == 0:
		return
	}
	for _, r := range e.Remedies {
		p.line("to cache", "%s", r.Obstacle)
		p.line("to cache", "  %s: %s", r.Who, r.Change)
	}
	if e.YAML == "" {
		return
	}
	p.line("to cache", "in the route:")
	for line := range strings.Lines(e.YAML) {
		p.line("to cache", "  %s", strings.TrimRight(line, "\n"))
	}
}

// span formats a number of seconds without the units that are zero: 1m, not 1m0s.
func span(seconds float64) string {
	s := time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func left(ttl float64) string {
	if ttl <= 0 {
		return "stale for " + span(-ttl)
	}
	return span(ttl) + " left"
}
