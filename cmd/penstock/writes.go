package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"
)

// writesTimeout is for the answer of a gateway that replays or drops many.
const writesTimeout = 30 * time.Second

// writesAnswer is what the admin API says of the queue of writes.
type writesAnswer struct {
	Status  string        `json:"status"`
	Errors  []string      `json:"errors"`
	Hint    string        `json:"hint"`
	Pending int           `json:"pending"`
	Bytes   int64         `json:"bytes"`
	Oldest  int64         `json:"oldest_ms"`
	Dead    int           `json:"dead"`
	Letters []queuedWrite `json:"letters"`
	Count   int           `json:"count"`
	Write   queuedWrite   `json:"write"`
	Header  http.Header   `json:"header"`
	Body    []byte        `json:"body"`
}

// queuedWrite is a write as operators see it.
type queuedWrite struct {
	ID       string    `json:"id"`
	Route    string    `json:"route"`
	Method   string    `json:"method"`
	URL      string    `json:"url"`
	Accepted time.Time `json:"accepted"`
	Bytes    int       `json:"bytes"`
	State    string    `json:"state"`
	Tries    int       `json:"tries"`
	Status   int       `json:"status"`
	Reason   string    `json:"reason"`
	Next     time.Time `json:"next"`
	Updated  time.Time `json:"updated"`
}

// writesCommand is what is to be done with the queue of writes.
type writesCommand struct {
	verb  string
	ids   []string
	all   bool
	limit int
}

// runWrites lists, shows, replays or drops what is in the queue of writes of a running gateway.
func runWrites(ctx context.Context, c *call) error {
	verb := "list"
	if len(c.args) > 0 && !strings.HasPrefix(c.args[0], "-") {
		verb, c.args = c.args[0], c.args[1:]
	}
	if !slices.Contains([]string{"list", "show", "replay", "drop"}, verb) {
		return usageError(fmt.Sprintf("penstock writes does not know %q; it knows list, show ID, replay ID… and drop ID…", verb))
	}
	var gate door
	w := writesCommand{verb: verb}
	fs := c.flags("writes " + verb)
	switch verb {
	case "list":
		fs.IntVar(&w.limit, "limit", 100, "how many dead letters to list")
	case "replay", "drop":
		fs.BoolVar(&w.all, "all", false, verb+" all dead letters")
	}
	gate.flags(fs)
	// IDs come before the flags or behind them.
	for len(c.args) > 0 && !strings.HasPrefix(c.args[0], "-") {
		w.ids, c.args = append(w.ids, c.args[0]), c.args[1:]
	}
	if fs.Parse(c.args) != nil {
		return c.parse(fs) // which says what is wrong with it
	}
	w.ids = append(w.ids, fs.Args()...)
	if err := w.check(); err != nil {
		return err
	}
	if err := gate.find(c.env); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writesTimeout)
	defer cancel()
	return w.run(ctx, c.stdout, &gate)
}

// check wants the IDs that the verb needs.
func (w *writesCommand) check() error {
	switch {
	case w.verb == "list" && len(w.ids) > 0:
		return usageError(fmt.Sprintf("penstock writes list does not take %q", w.ids[0]))
	case w.verb == "show" && len(w.ids) != 1:
		return usageError("penstock writes show needs the ID of one write")
	case (w.verb == "replay" || w.verb == "drop") && w.all == (len(w.ids) > 0):
		return usageError(fmt.Sprintf("penstock writes %s needs the IDs of dead letters, or --all", w.verb))
	}
	for _, id := range w.ids {
		if strings.ContainsAny(id, "/?#") {
			return usageError(fmt.Sprintf("%q is no ID of a write", id))
		}
	}
	return nil
}

// run asks the gateway and prints what it says.
func (w *writesCommand) run(ctx context.Context, out io.Writer, d *door) error {
	method, path, body := http.MethodGet, []string{"writes"}, []byte(nil)
	query := ""
	switch w.verb {
	case "list":
		query = fmt.Sprintf("limit=%d", w.limit)
	case "show":
		path = append(path, w.ids[0])
	default:
		ask := map[string]any{"id": w.ids}
		if w.all {
			ask = map[string]any{"all": true}
		}
		method, path = http.MethodPost, append(path, w.verb)
		body, _ = json.Marshal(ask) // of texts
	}
	url := d.url.JoinPath(path...)
	url.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, method, url.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	status, answer, err := d.askWrites(req)
	if err != nil {
		return err
	}
	return w.report(out, status, answer)
}

// askWrites sends a request to the admin listener. An answer that is none of a gateway is left empty.
func (d *door) askWrites(req *http.Request) (int, *writesAnswer, error) {
	req.Header.Set("Content-Type", "application/json")
	status, text, err := d.send(req, 16*maxAnswer)
	if err != nil {
		return 0, nil, err
	}
	answer := new(writesAnswer)
	if json.Unmarshal(text, answer) != nil && status/100 == 2 {
		return 0, nil, fmt.Errorf("the gateway at %s: what it says is not about writes", d.where())
	}
	return status, answer, nil
}

// report prints what was asked for, or returns why it can't be.
func (w *writesCommand) report(out io.Writer, status int, a *writesAnswer) error {
	switch status {
	case http.StatusOK:
	case http.StatusBadRequest:
		return usageError(strings.Join(a.said(), "; "))
	case http.StatusUnauthorized:
		return usageError("the gateway asks for its admin token: give it as " + tokenVariable + ", or name its configuration with --config")
	default:
		if a.Count > 0 {
			return fmt.Errorf("%s %d; %s", a.Status, a.Count, strings.Join(a.said(), "; "))
		}
		return fmt.Errorf("%s (%d %s)", strings.Join(a.said(), "; "), status, http.StatusText(status))
	}
	switch w.verb {
	case "list":
		return a.list(out)
	case "show":
		return a.show(out)
	}
	_, err := fmt.Fprintf(out, "%s %d of the dead letters\n", a.Status, a.Count)
	return err
}

// said is whatever the gateway has to say of a failure.
func (a *writesAnswer) said() []string {
	p := purgeAnswer{Status: a.Status, Errors: a.Errors, Hint: a.Hint}
	return p.said()
}

func (a *writesAnswer) list(out io.Writer) error {
	oldest := (time.Duration(a.Oldest) * time.Millisecond).Round(time.Millisecond)
	fmt.Fprintf(out, "%d queued, %d bytes, the oldest for %v; %d dead\n", a.Pending, a.Bytes, oldest, a.Dead)
	if len(a.Letters) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tACCEPTED\tTRIES\tWRITE\tREASON")
	for _, l := range a.Letters {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s %s\t%s\n", l.ID, l.Accepted.UTC().Format(time.RFC3339), l.Tries, l.Method, l.URL, l.Reason)
	}
	return t.Flush()
}

func (a *writesAnswer) show(out io.Writer) error {
	l := a.Write
	fmt.Fprintf(out, "%s %s\nroute %s, accepted %s\n", l.Method, l.URL, l.Route, l.Accepted.UTC().Format(time.RFC3339))
	fmt.Fprintf(out, "%s after %d tries, %s", l.State, l.Tries, l.Updated.UTC().Format(time.RFC3339))
	if l.Status != 0 {
		fmt.Fprintf(out, ", upstream %d", l.Status)
	}
	if l.Reason != "" {
		fmt.Fprintf(out, ": %s", l.Reason)
	}
	fmt.Fprintln(out)
	if len(a.Header) > 0 {
		fmt.Fprintln(out)
		names := make([]string, 0, len(a.Header))
		for name := range a.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(out, "%s: %s\n", name, strings.Join(a.Header[name], ", "))
		}
	}
	return a.showBody(out)
}

// showBody prints text as it is, and of anything else only how much there is.
func (a *writesAnswer) showBody(out io.Writer) error {
	var err error
	switch {
	case len(a.Body) == 0:
	case utf8.Valid(a.Body) && !bytes.ContainsFunc(a.Body, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' }):
		_, err = fmt.Fprintf(out, "\n%s\n", a.Body)
	default:
		_, err = fmt.Fprintf(out, "\n(%d bytes that are no text)\n", a.Write.Bytes)
	}
	return err
}
