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

// Run measures every lever, prints the table, and keeps the servers up until ctx ends, unless Once
// is set. With Once it returns an error if a measurement does not support a claim.
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
		return nil // stopped by the user; half a table is of no use
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

// failed returns an error if a claim was not met.
func failed(rows []Row) error {
	n := 0
	for _, r := range rows {
		if !r.Met {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d claims are not met by these measurements; the table marks them", n, len(rows))
	}
	return nil
}

func printNotes(out io.Writer) {
	fmt.Fprintf(out, `
The same client measures before and after, with its connections already open. Times are to the last byte. Origin calls
include those that filled the cache. Plain rows are %d requests over %d connections; if a row is about a full cache, one
request fills it first. Cost is that of a million visits (each a page, its files and two private responses) at 0.09 USD per GB to clients,
0.02 per GB from origins and 0.60 per million origin requests: before without a gateway, after from the gateway's cost account. N+1 is %d page views of 1 + %d requests each, the first with a cold cache.
`, repeats, workers, visits, itemsPerOrder)
}

// invitation is a curl command to try.
type invitation struct {
	args   string // of curl, before the URL
	path   string
	header http.Header
	about  string
	tried  string // the path that invite itself requests, if the user should be the first to request path; else ""
}

// invite prints the addresses and some commands to try. It has just seen each Cache-Status that it
// prints.
func (s *stage) invite(ctx context.Context, out io.Writer) {
	fmt.Fprintf(out, "\nStill up, until Ctrl-C:\n\n  gateway  http://%s\n", s.address)
	for _, o := range s.origins() {
		state := ""
		if o == s.quotes {
			state = " (taken down by the demo)"
		}
		fmt.Fprintf(out, "  %-7s  %s%s\n", o.name, o.url(), state)
	}
	fmt.Fprintf(out, "\nTry these, and watch Cache-Status and Age (the responses shown are a moment old):\n")
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
		{"", "/api/report", nil, "the API that takes 500 ms", ""},
		{"", "/api/report?of=you", nil, "a new key: 500 ms once, then from the cache", "/api/report?of=me"},
		{"-H 'Cache-Control: no-cache' ", "/api/report", http.Header{"Cache-Control": {"no-cache"}}, "a client that forces revalidation", ""},
		{"--compressed ", "/catalog.json", http.Header{"Accept-Encoding": {"gzip, br, zstd"}}, "compressed once, when stored", ""},
		{"-H 'If-None-Match: " + f.etag() + "' ", f.name, http.Header{"If-None-Match": {f.etag()}}, "a return visit", ""},
		{"-r 1000-1999 ", "/book.txt", http.Header{"Range": {"bytes=1000-1999"}}, "a range of a stored object", ""},
		{"", "/quotes?k=1", nil, "an origin that is down", ""},
		{"", "/api/account", nil, "private, never stored", ""},
	}
}
