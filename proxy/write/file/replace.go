package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock/penstock/proxy/write"
)

// takeMost is the number of writes that one transaction takes over.
const takeMost = 128

// replace keeps a damaged file under another name and puts a new one in its place, with every
// readable record. f stays locked meanwhile. If replace is interrupted, the damaged file is still
// in its place.
func replace(path string, f *os.File, found *survey, b write.Bounds, now func() time.Time, log *slog.Logger) error {
	p := found.salvage(now())
	next := path + ".salvaged"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := build(next, f, p, b, now, log); err != nil {
		return errors.Join(fmt.Errorf("salvaging the sound records: %w", err), os.Remove(next))
	}
	kept, err := keepAside(path, f, now())
	if err != nil {
		return errors.Join(fmt.Errorf("keeping the damaged file: %w", err), os.Remove(next))
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	if err := syncFolder(path); err != nil {
		return err
	}
	logReplaced(path, kept, found, p, log)
	return nil
}

// logReplaced logs the result for a damaged file.
func logReplaced(path, kept string, found *survey, p *plan, log *slog.Logger) {
	log.Error("the file of queued writes was damaged: a new file holds its sound records, and the damaged file is kept", "file", path, "kept", kept,
		"queued", len(p.queued), "dead_letters", len(p.letters), "ended", len(p.ended), "lost", len(p.lost), "damage", found.problems)
	for _, t := range p.lost[:min(len(p.lost), 10*maxProblems)] {
		log.Error("a queued write was lost: "+reasonDamaged, "id", t.id)
	}
}

// keepAside gives the damaged file a second name next to its own, under which it does not change
// any more.
func keepAside(path string, f *os.File, now time.Time) (kept string, err error) {
	base := path + ".damaged-" + now.UTC().Format("20060102T150405Z")
	kept = base
	for n := 2; ; n++ {
		err := os.Link(path, kept)
		switch {
		case err == nil:
			return kept, nil
		case !errors.Is(err, fs.ErrExist):
			return kept, copyTo(kept, f) // for a file system without links
		case n > 100:
			return "", err
		}
		kept = fmt.Sprintf("%s-%d", base, n)
	}
}

func copyTo(path string, f *os.File) error {
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.NewSectionReader(f, 0, 1<<62))
	return errors.Join(err, to.Sync(), to.Close())
}

func syncFolder(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// build creates a file from a plan.
func build(path string, from io.ReaderAt, p *plan, b write.Bounds, now func() time.Time, log *slog.Logger) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s := newStore(path, b, now, log)
	if err := s.attach(f); err != nil {
		return err
	}
	s.db.NoSync = true // the file is synced once at the end, since it has no effect before it is renamed
	err = s.load()
	if err == nil {
		err = s.takeOver(from, p)
	}
	if err == nil {
		err = s.db.Sync()
	}
	return errors.Join(err, s.db.Close())
}

// takeOver copies the writes of a plan from another file, each once.
func (s *Store) takeOver(from io.ReaderAt, p *plan) error {
	each := []struct {
		traces []*trace
		take   func(tx *txn, from io.ReaderAt, t *trace) error
	}{{p.ended, (*txn).takeEnded}, {p.letters, (*txn).takeLetter}, {p.queued, (*txn).takeQueued}, {p.lost, (*txn).takeLost}}
	for _, e := range each {
		for some := range slices.Chunk(e.traces, takeMost) {
			err := s.update(func(tx *txn) error {
				for _, t := range some {
					if err := e.take(tx, from, t); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// read returns the write that is stored in an extent.
func (e extent) read(from io.ReaderAt) (*write.Write, error) {
	b := make([]byte, e.n)
	if _, err := from.ReadAt(b, e.at); err != nil {
		return nil, err
	}
	if !framed(b) {
		return write.Decode(b)
	}
	_, payload, err := unseal(b)
	if err != nil || len(payload) < 8 {
		return nil, fmt.Errorf("%w: %v", write.ErrDamaged, err)
	}
	return write.Decode(payload[8:])
}

// stateOr returns the found state of a write if it has one of the given phases, and the default
// otherwise.
func (t *trace) stateOr(otherwise write.State, phases ...write.Phase) write.State {
	if t.state != nil && slices.Contains(phases, t.state.state.Phase) {
		return t.state.state
	}
	return otherwise
}

func (tx *txn) takeQueued(from io.ReaderAt, t *trace) error {
	w, err := t.whole.read(from)
	if err != nil {
		return err
	}
	_, err = tx.add(w, t.stateOr(write.State{Phase: write.Queued, Updated: w.Accepted}, write.Queued, write.Retrying))
	return err
}

func (tx *txn) takeLetter(from io.ReaderAt, t *trace) error {
	w, err := t.whole.read(from)
	if err != nil {
		return err
	}
	state := t.stateOr(write.State{Phase: write.Dead, Reason: "the reason was lost because the queue's file was damaged", Updated: w.Accepted}, write.Dead)
	if err := tx.putWrite(kindWrite, w, 0); err != nil {
		return err
	}
	if err := tx.putState(w.ID, 0, state); err != nil {
		return err
	}
	return tx.Bucket(bucketDead).Put(timed(state.Updated, w.ID), sealDead(state.Updated, w.ID))
}

// takeEnded copies an ended write, which clients may still ask for. If its outline is lost, only
// its state is copied.
func (tx *txn) takeEnded(from io.ReaderAt, t *trace) error {
	w := &write.Write{ID: t.id, Accepted: t.accepted}
	where := t.outline
	if where.n == 0 {
		where = t.whole
	}
	if where.n > 0 {
		var err error
		if w, err = where.read(from); err != nil {
			return err
		}
	}
	phase := t.phase
	if phase == "" {
		phase = write.Done
	}
	state := t.stateOr(write.State{Phase: phase, Updated: w.Accepted}, write.Done, write.Dead, write.Dropped, write.Lost)
	if err := tx.putState(w.ID, 0, state); err != nil {
		return err
	}
	until := t.until
	if until.IsZero() {
		until = tx.now().Add(tx.keep)
	}
	return tx.keepOutline(w, state.Phase, until)
}

func (tx *txn) takeLost(_ io.ReaderAt, t *trace) error { return tx.lose(t.id, reasonDamaged) }
