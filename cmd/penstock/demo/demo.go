package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
)

// Options say how the demo runs.
type Options struct {
	Out     io.Writer
	Once    bool   // return after the table instead of staying up
	Version string // of the gateway
}

// Run measures every lever, prints the table, and stays up until ctx ends, unless it is to run once. With Once a claim that
// the measurement does not bear out is an error.
func Run(ctx context.Context, o Options) (err error) {
	s, err := newStage(o.Version)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := s.close(); err == nil {
			err = closeErr
		}
	}()
	fmt.Fprintf(o.Out, "Measuring on loopback: the sample origins directly (before), then through the gateway (after). It takes about 20 seconds.\n\n")
	rows := measureAll(ctx, s)
	if ctx.Err() != nil {
		return nil // ended by the user; half a table says nothing
	}
	if err := printTable(o.Out, rows); err != nil {
		return err
	}
	printNotes(o.Out)
	if o.Once {
		return failed(rows)
	}
	s.invite(ctx, o.Out)
	<-ctx.Done()
	return nil
}

// measureAll runs all levers, one after the other.
func measureAll(ctx context.Context, s *stage) []Row {
	var rows []Row
	for _, l := range levers() {
		if ctx.Err() != nil {
			break
		}
		rows = append(rows, l.measure(ctx, s))
	}
	return rows
}

// failed is an error when a claim was not met.
func failed(rows []Row) error {
	n := 0
	for _, r := range rows {
		if !r.Met {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d claims are not met by what was measured here; the table marks them", n, len(rows))
	}
	return nil
}

func printNotes(out io.Writer) {
	fmt.Fprintf(out, `
Same client before and after, its connections open already. Times are to the last byte. Origin calls count what filled the
cache as well. Plain rows are %d requests over %d connections; one request that fills the cache comes first where the row is
about what follows. Cost is that of a million visits (a page, its files and two private answers each) at 0.09 USD a GB to clients, 0.02 a GB
from origins and 0.60 a million origin requests; before: without a gateway, after: as its own account has it. N+1 is %d page views of 1 + %d requests each, the first of them on a cold cache.
`, repeats, workers, visits, itemsPerOrder)
}

// invitation is something to try with curl.
type invitation struct {
	args   string // of curl, before the URL
	path   string
	header http.Header
	about  string
	tried  string // the path that is asked here, where the user is to be the first to ask for path; else ""
}

// invite prints where everything is and what to try. What it says about an answer's Cache-Status it has just seen.
func (s *stage) invite(ctx context.Context, out io.Writer) {
	fmt.Fprintf(out, "\nStill up, until Ctrl-C:\n\n  gateway  http://%s\n", s.address)
	for _, o := range s.origins() {
		state := ""
		if o == s.quotes {
			state = " (taken down by the demo)"
		}
		fmt.Fprintf(out, "  %-7s  %s%s\n", o.name, o.url(), state)
	}
	fmt.Fprintf(out, "\nTry, and watch Cache-Status and Age (the answers are from a moment ago):\n")
	for _, i := range s.invitations() {
		status, header, err := s.through.header(ctx, cmp.Or(i.tried, i.path), i.header)
		if err != nil {
			fmt.Fprintf(out, "\n  # %s: %v\n", i.about, err)
			continue
		}
		fmt.Fprintf(out, "\n  # %s\n  curl -sD- -o /dev/null %s'http://%s%s'\n  → %d, Cache-Status: %s\n", i.about, i.args, s.address, i.path, status, header.Get("Cache-Status"))
	}
}

func (s *stage) invitations() []invitation {
	f := s.picture()
	return []invitation{
		{"", "/api/report", nil, "the API of 500 ms", ""},
		{"", "/api/report?of=you", nil, "a key that nobody asked for yet: 500 ms once, then from cache", "/api/report?of=me"},
		{"-H 'Cache-Control: no-cache' ", "/api/report", http.Header{"Cache-Control": {"no-cache"}}, "a client that insists", ""},
		{"--compressed ", "/catalog.json", http.Header{"Accept-Encoding": {"gzip, br, zstd"}}, "compressed once, when it was stored", ""},
		{"-H 'If-None-Match: " + f.etag() + "' ", f.name, http.Header{"If-None-Match": {f.etag()}}, "a return visit", ""},
		{"-r 1000-1999 ", "/book.txt", http.Header{"Range": {"bytes=1000-1999"}}, "a range of a stored object", ""},
		{"", "/quotes?k=1", nil, "an origin that is down", ""},
		{"", "/api/account", nil, "private, never stored", ""},
	}
}
