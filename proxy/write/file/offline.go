package file

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/penstock/penstock/proxy/write"
)

// Report is the content of a file that no gateway has open.
type Report struct {
	Damage  []string // the first problems; empty if the file is sound
	Queued  []Listed // pending writes, in order
	Letters []Listed // dead letters
	Ended   int      // number of ended writes, which only have an outline
	Lost    []string // IDs of damaged writes
}

// Listed is a write in a Report.
type Listed struct {
	ID, Method, URL, State, Reason string
	Accepted                       time.Time
	Tries, Bytes                   int
}

// unbounded are the limits for a file that no gateway uses.
var unbounded = write.Bounds{Max: 1 << 30, Bytes: 1 << 50, Keep: time.Hour, Dead: 1 << 30, DeadAge: 1 << 60}

// Check reads a file that no gateway has open, and changes nothing.
func Check(path string, now func() time.Time) (*Report, error) {
	return offline(path, now, func(*os.File, *plan) error { return nil })
}

// Salvage creates the file out with the sound content of another file, which it does not change. If
// out exists, it returns an error.
func Salvage(path, out string, now func() time.Time) (*Report, error) {
	return offline(path, now, func(f *os.File, p *plan) error {
		if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(&fs.PathError{Op: "salvage", Path: out, Err: fs.ErrExist}, err)
		}
		if err := build(out, f, p, unbounded, now, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		return syncFolder(out)
	})
}

// offline reads a file, and calls do with the content to keep while no gateway can open the file.
func offline(path string, now func() time.Time, do func(f *os.File, p *plan) error) (*Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, withRemedy(path, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return nil, withRemedy(path, errors.Join(errDirectory, err))
	}
	if taken, err := lock(f); err != nil || taken {
		return nil, withRemedy(path, errors.Join(errLocked, err))
	}
	found, err := inspectFile(f)
	if err != nil {
		return nil, withRemedy(path, err)
	}
	if found == nil {
		found = &survey{orderly: true}
	}
	p := found.salvage(now())
	r := &Report{Damage: found.problems, Ended: len(p.ended)}
	if r.Queued, err = listed(f, p.queued); err != nil {
		return nil, err
	}
	if r.Letters, err = listed(f, p.letters); err != nil {
		return nil, err
	}
	for _, t := range p.lost {
		r.Lost = append(r.Lost, t.id)
	}
	return r, do(f, p)
}

func listed(f *os.File, traces []*trace) (all []Listed, err error) {
	for _, t := range traces {
		w, err := t.whole.read(f)
		if err != nil {
			return nil, err
		}
		state := t.stateOr(write.State{Phase: write.Queued}, write.Queued, write.Retrying, write.Dead)
		url := w.Scheme + "://" + w.Host + w.Path
		if w.Query != "" {
			url += "?" + w.Query
		}
		all = append(all, Listed{w.ID, w.Method, url, string(state.Phase), state.Reason, w.Accepted, state.Tries, len(w.Body)})
	}
	return all, nil
}
