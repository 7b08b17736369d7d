package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/penstock/penstock/proxy/write/file"
)

// fileFlag names a file of queued writes that no gateway has open.
const fileFlag = "--file"

// takeFile removes --file FILE from the arguments, wherever it stands. given is true if the flag
// was there; path is empty if it had no value.
func takeFile(args []string) (path string, rest []string, given bool) {
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		switch {
		case name != fileFlag && name != fileFlag[1:]:
			rest = append(rest, args[i])
		case joined:
			path, given = value, true
		default:
			given = true
			if i+1 < len(args) {
				i++
				path = args[i]
			}
		}
	}
	return path, rest, given
}

// runWritesFile checks, lists or salvages a file of queued writes, without a gateway.
func runWritesFile(path string, args []string, out io.Writer) error {
	const usage = "penstock writes --file FILE takes check, list or salvage OUT"
	verb := "check"
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	switch {
	case path == "":
		return usageError("--file needs the file that writes.path names; " + usage)
	case (verb == "check" || verb == "list") && len(args) == 0:
		r, err := file.Check(path, time.Now)
		if err != nil {
			return err
		}
		return reportFile(out, path, r, verb == "list")
	case verb == "salvage" && len(args) == 1 && !strings.HasPrefix(args[0], "-"):
		return salvageFile(out, path, args[0])
	}
	return usageError(usage)
}

func salvageFile(out io.Writer, path, to string) error {
	r, err := file.Salvage(path, to, time.Now)
	if errors.Is(err, fs.ErrExist) {
		return usageError(fmt.Sprintf("%s exists already; name a new file", to))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s has %s\n", to, figures(r))
	for _, id := range r.Lost {
		fmt.Fprintf(out, "lost: %s\n", id)
	}
	return nil
}

// figures counts the writes of each state.
func figures(r *file.Report) string {
	s := fmt.Sprintf("%d queued, %d dead, %d ended", len(r.Queued), len(r.Letters), r.Ended)
	if len(r.Lost) > 0 {
		s += fmt.Sprintf("; %d damaged", len(r.Lost))
	}
	return s
}

// reportFile prints the state of a file. It returns an error if the file is damaged.
func reportFile(out io.Writer, path string, r *file.Report, list bool) error {
	if list {
		if err := listFile(out, r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%s: %s\n", path, figures(r))
	}
	if len(r.Damage) == 0 {
		return nil
	}
	for _, damage := range r.Damage {
		fmt.Fprintf(out, "damaged: %s\n", damage)
	}
	for _, id := range r.Lost {
		fmt.Fprintf(out, "lost: %s\n", id)
	}
	return fmt.Errorf("%s is damaged; a gateway that starts with it keeps the undamaged writes, and penstock writes --file %s salvage OUT saves them now", path, path)
}

func listFile(out io.Writer, r *file.Report) error {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tACCEPTED\tSTATE\tTRIES\tWRITE\tREASON")
	for _, l := range append(r.Queued, r.Letters...) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s %s\t%s\n", l.ID, l.Accepted.UTC().Format(time.RFC3339), l.State, l.Tries, l.Method, l.URL, l.Reason)
	}
	return t.Flush()
}
