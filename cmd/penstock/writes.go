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

// replayWait is how long `penstock writes replay` waits by default for the writes to be applied.
const replayWait = 10 * time.Second

// writesTimeout bounds the wait for the gateway's response. Replaying or dropping many writes takes
// time.
const writesTimeout = 30 * time.Second

// writesAnswer is a response of the admin API about the write queue. Each endpoint sets some
// fields.
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
	IDs     []string      `json:"ids"`
	Write   queuedWrite   `json:"write"`
	Header  http.Header   `json:"header"`
	Body    []byte        `json:"body"`
}

// queuedWrite describes one write to operators.
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

// writesCommand is a parsed `penstock writes` command.
type writesCommand struct {
	verb  string
	ids   []string
	all   bool
	limit int
	wait  time.Duration // time to wait for replayed writes to end
}

// runWrites lists, shows, replays or drops the queued writes of a running gateway.
func runWrites(ctx context.Context, c *call) error {
	if path, rest, given := takeFile(c.args); given {
		return runWritesFile(path, rest, c.stdout)
	}
	verb := "list"
	if len(c.args) > 0 && !strings.HasPrefix(c.args[0], "-") {
		verb, c.args = c.args[0], c.args[1:]
	}
	if !slices.Contains([]string{"list", "show", "replay", "drop"}, verb) {
		return usageError(fmt.Sprintf("penstock writes has no subcommand %q; it has list, show ID, replay ID… and drop ID…, and with --file FILE check, list and salvage OUT", verb))
	}
	var gate adminClient
	w := writesCommand{verb: verb}
	fs := c.flags("writes " + verb)
	switch verb {
	case "list":
		fs.IntVar(&w.limit, "limit", 100, "the maximum number of dead letters to list")
	case "replay":
		fs.DurationVar(&w.wait, "wait", replayWait, "how long to wait for the writes to be applied; 0 does not wait")
		fallthrough
	case "drop":
		fs.BoolVar(&w.all, "all", false, verb+" all dead letters")
	}
	gate.flags(fs)
	// IDs may come before or after the flags.
	for len(c.args) > 0 && !strings.HasPrefix(c.args[0], "-") {
		w.ids, c.args = append(w.ids, c.args[0]), c.args[1:]
	}
	if fs.Parse(c.args) != nil {
		return c.parse(fs) // parse returns the error, or prints the help
	}
	w.ids = append(w.ids, fs.Args()...)
	if err := w.check(); err != nil {
		return err
	}
	if err := gate.find(c.env); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writesTimeout+w.wait)
	defer cancel()
	return w.run(ctx, c.stdout, &gate)
}

// check returns an error if the verb lacks IDs, has too many or has malformed ones.
func (w *writesCommand) check() error {
	switch {
	case w.verb == "list" && len(w.ids) > 0:
		return usageError(fmt.Sprintf("penstock writes list does not take %q", w.ids[0]))
	case w.wait < 0:
		return usageError("--wait can't be negative; 0 does not wait")
	case w.verb == "show" && len(w.ids) != 1:
		return usageError("penstock writes show needs the ID of one write")
	case (w.verb == "replay" || w.verb == "drop") && w.all == (len(w.ids) > 0):
		return usageError(fmt.Sprintf("penstock writes %s needs the IDs of dead letters, or --all", w.verb))
	}
	for _, id := range w.ids {
		if strings.ContainsAny(id, "/?#") {
			return usageError(fmt.Sprintf("%q is not the ID of a write; penstock writes list prints the IDs", id))
		}
	}
	return nil
}

// run sends the request to the gateway and prints its response.
func (w *writesCommand) run(ctx context.Context, out io.Writer, d *adminClient) error {
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
		body, _ = json.Marshal(ask) // a map of strings always encodes
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
	told := w.report(out, status, answer)
	if w.verb != "replay" || w.wait == 0 || len(answer.IDs) == 0 {
		return told
	}
	return joinLines(told, w.follow(ctx, out, d, answer.IDs))
}

// askWrites sends a request to the admin listener. The answer is empty if an error response is not
// a gateway's JSON.
func (d *adminClient) askWrites(req *http.Request) (int, *writesAnswer, error) {
	req.Header.Set("Content-Type", "application/json")
	status, text, err := d.send(req, 16*maxAnswer)
	if err != nil {
		return 0, nil, err
	}
	answer := new(writesAnswer)
	if json.Unmarshal(text, answer) != nil && status/100 == 2 {
		return 0, nil, fmt.Errorf("the gateway at %s sent a response about writes that is not JSON", d.where())
	}
	return status, answer, nil
}

// report prints the requested data, or returns an error with the reason.
func (w *writesCommand) report(out io.Writer, status int, a *writesAnswer) error {
	switch status {
	case http.StatusOK:
	case http.StatusBadRequest:
		return usageError(strings.Join(a.said(), "; "))
	case http.StatusUnauthorized:
		return errNoToken
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
	done := a.Status
	if w.verb == "replay" {
		done = "queued again:"
	}
	_, err := fmt.Fprintf(out, "%s %d of the dead letters\n", done, a.Count)
	return err
}

// said returns the reasons that the gateway gave for a failure.
func (a *writesAnswer) said() []string {
	p := purgeAnswer{Status: a.Status, Errors: a.Errors, Hint: a.Hint}
	return p.said()
}

func (a *writesAnswer) list(out io.Writer) error {
	oldest := (time.Duration(a.Oldest) * time.Millisecond).Round(time.Millisecond)
	fmt.Fprintf(out, "%d queued, %d bytes, the oldest waiting %v; %d dead\n", a.Pending, a.Bytes, oldest, a.Dead)
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

// showBody prints a text body as it is, and of a binary one only its size.
func (a *writesAnswer) showBody(out io.Writer) error {
	var err error
	switch {
	case len(a.Body) == 0:
	case utf8.Valid(a.Body) && !bytes.ContainsFunc(a.Body, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' }):
		_, err = fmt.Fprintf(out, "\n%s\n", a.Body)
	default:
		_, err = fmt.Fprintf(out, "\n(%d bytes of binary data)\n", a.Write.Bytes)
	}
	return err
}
