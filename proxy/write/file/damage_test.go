package file

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/proxy/write"
	"github.com/penstock/penstock/proxy/write/storetest"
)

var damages = flag.Int("damages", 40, "how many random damages of the queue's file are tried")

// past is a file of writes, of which some are applied, and the truth about each write.
type past struct {
	file    []byte
	waiting []*write.Write // in order
	letters map[string]bool
	over    map[string]bool
	// proofs holds the stored records of each ended write, each of which proves that it has ended.
	// For a pending write it holds the content.
	proofs map[string][][]byte
}

// newPast makes a store accept and process writes, and copies its file as a kill would leave it.
func newPast(t *testing.T, random *rand.Rand) *past {
	t.Helper()
	path := filepath.Join(t.TempDir(), "writes.db")
	s, err := Open(path, storetest.Wide, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.db.NoSync = true // a kill loses nothing that was written
	p := &past{letters: map[string]bool{}, over: map[string]bool{}, proofs: map[string][][]byte{}}
	add := func(n int) {
		for range n {
			w := storetest.New(fmt.Sprintf("/%d", random.IntN(12)))
			w.Body = bytes.Repeat([]byte{byte(random.IntN(256))}, 1+random.IntN(1+random.IntN(9000)))
			if random.IntN(10) == 0 {
				w.Body = append(w.Body, forged(t)...)
			}
			if random.IntN(2) == 0 {
				w.Key, w.Print = write.Digest{byte(random.IntN(256)), byte(random.IntN(256)), byte(random.IntN(256))}, write.Digest{2}
			}
			if id, err := s.Add(t.Context(), w); err != nil || id != w.ID {
				continue // its key was used before
			}
			p.waiting = append(p.waiting, w)
		}
	}
	add(60 + random.IntN(60))
	work := &part{s, t.Context()}
	applied := map[string]bool{}
	for range random.IntN(5) {
		entries, err := work.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stuck, left := map[string]bool{}, []write.Entry(nil)
		for _, e := range entries {
			r, err := work.Load(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			if stuck[e.Lane] || random.IntN(12) == 0 {
				stuck[e.Lane] = true
				left = append(left, e) // the write waits, and so do later ones of its lane
				continue
			}
			r.State = write.State{Phase: write.Done, Tries: 1, Updated: time.Now().UTC()}
			if random.IntN(8) == 0 {
				r.Phase, p.letters[e.ID] = write.Dead, true
			}
			if err := work.Put(t.Context(), e, r); err != nil {
				t.Fatal(err)
			}
			applied[e.ID] = true
		}
		s.fresh = append(left, s.fresh...)
		add(1 + random.IntN(20))
	}
	p.waiting = slices.DeleteFunc(p.waiting, func(w *write.Write) bool {
		if applied[w.ID] {
			p.over[w.ID] = true
		}
		return applied[w.ID]
	})
	p.readProofs(t, s)
	if p.file, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return p
}

// forged returns a record as a client could send it, for a write of another client.
func forged(t *testing.T) []byte {
	w := storetest.New("/forged")
	encoded, err := w.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return seal(kindWrite, key(1), encoded)
}

func (p *past) readProofs(t *testing.T, s *Store) {
	t.Helper()
	err := s.view(func(tx *txn) error {
		for _, w := range p.waiting {
			p.proofs[w.ID] = [][]byte{bytes.Clone(tx.Bucket(bucketWrites).Get([]byte(w.ID)))}
		}
		for id := range p.over {
			for _, name := range [][]byte{bucketWrites, bucketStates} {
				// A dead letter is kept as it was accepted.
				if !p.letters[id] || &name[0] != &bucketWrites[0] {
					p.proofs[id] = append(p.proofs[id], bytes.Clone(tx.Bucket(name).Get([]byte(id))))
				}
			}
		}
		for _, name := range [][]byte{bucketEnded, bucketDead} {
			err := tx.Bucket(name).ForEach(func(k, v []byte) error {
				p.proofs[string(k[8:])] = append(p.proofs[string(k[8:])], bytes.Clone(v))
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// damage damages a copy of a file, and describes the damage.
func damage(file []byte, random *rand.Rand) (spoilt []byte, how string) {
	b := bytes.Clone(file)
	switch random.IntN(3) {
	case 0:
		n := 1 + random.IntN(8)
		for range n {
			b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		}
		return b, fmt.Sprintf("%d bits flipped", n)
	case 1:
		n := random.IntN(len(b))
		return b[:n], fmt.Sprintf("cut to %d of %d bytes", n, len(b))
	default:
		n := 1 + random.IntN(4)
		for range n {
			at := random.IntN(len(b)/4096) * 4096
			clear(b[at : at+4096])
		}
		return b, fmt.Sprintf("%d pages zeroed", n)
	}
}

// TestDamage checks for random damage that every sound write is applied once and in order, and no
// other.
func TestDamage(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	again := 0
	var p *past
	for n := range *damages {
		random := rand.New(rand.NewPCG(seed, uint64(n)))
		if n%10 == 0 {
			p = newPast(t, random)
		}
		spoilt, how := damage(p.file, random)
		more, ok := p.check(t, spoilt)
		if !ok {
			t.Fatalf("damage %d of seed %d: %s", n, seed, how)
		}
		again += more
	}
	t.Logf("%d damages; %d writes would be sent once more, as all records of their end were damaged", *damages, again)
}

// check opens a damaged file. It returns the number of writes that will be sent again because no
// record of their end is left.
func (p *past) check(t *testing.T, spoilt []byte) (again int, ok bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "writes.db")
	if err := os.WriteFile(path, spoilt, 0o600); err != nil {
		t.Fatal(err)
	}
	survives := func(id string) bool {
		return slices.ContainsFunc(p.proofs[id], func(proof []byte) bool { return bytes.Contains(spoilt, proof) })
	}
	var want []*write.Write
	for _, w := range p.waiting {
		if survives(w.ID) {
			want = append(want, w)
		}
	}
	s, err := Open(path, storetest.Wide, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		if len(want) == 0 && (errors.Is(err, errForeign) || errors.Is(err, write.ErrDamaged)) {
			return 0, true
		}
		t.Errorf("%d writes are sound, and it is not opened: %v", len(want), err)
		return 0, false
	}
	defer s.Close()
	queued := allQueued(t, s)
	queued = slices.DeleteFunc(queued, func(w *write.Write) bool {
		if p.over[w.ID] && !survives(w.ID) {
			again++
			return true
		}
		return false
	})
	if diff := cmp.Diff(byLane(want), byLane(queued)); diff != "" {
		t.Errorf("of the %d writes that are sound %d are queued: %s", len(want), len(queued), diff[:min(len(diff), 4000)])
		return again, false
	}
	if letters, err := s.Letters(t.Context(), 1<<20); err != nil {
		t.Errorf("the dead letters: %v", err)
	} else {
		for _, l := range letters {
			if !p.over[l.ID] {
				t.Errorf("%s is a dead letter, and it waits", l.ID)
			}
		}
	}
	return again, !t.Failed()
}

// byLane returns the writes of each lane in order.
func byLane(all []*write.Write) map[string][]*write.Write {
	lanes := map[string][]*write.Write{}
	for _, w := range all {
		lanes[w.Lane()] = append(lanes[w.Lane()], w)
	}
	return lanes
}

// allQueued returns the writes that a store applies, in order.
func allQueued(t *testing.T, s *Store) (all []*write.Write) {
	t.Helper()
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	work := &part{s, ctx}
	for len(all) < stats.Pending {
		entries, err := work.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			r, err := work.Load(ctx, e)
			if err != nil {
				t.Fatalf("Load: %v", err)
			}
			all = append(all, r.Write)
		}
	}
	return all
}

// TestOlderBuild checks that a file of an earlier version is read as it is, and that the content
// reachable in its tree is salvaged if it is damaged.
func TestOlderBuild(t *testing.T) {
	for name, spoil := range map[string]func(b []byte, page int){
		"sound":             func([]byte, int) {},
		"a damaged content": func(b []byte, _ int) { b[bytes.Index(b, []byte("body of /3"))] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "writes.db")
			writes := olderFile(t, path)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			spoil(b, 4096)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path, storetest.Wide, time.Now, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got := allQueued(t, s)
			want := writes
			if name != "sound" {
				want = slices.Delete(slices.Clone(writes), 3, 4)
				if r, err := s.Find(t.Context(), writes[3].ID); err != nil || r.Phase != write.Lost {
					t.Errorf("the damaged one: %+v, %v", r, err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// olderFile returns a file as versions without frames have written it.
func olderFile(t *testing.T, path string) (writes []*write.Write) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(path, storetest.Wide, time.Now, slog.New(slog.DiscardHandler))
	if err := s.attach(f); err != nil {
		t.Fatal(err)
	}
	err = s.update(func(tx *txn) error {
		for _, name := range firstBuckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		for n := range 8 {
			w := storetest.New(fmt.Sprintf("/%d", n))
			encoded, err := w.Encode()
			if err != nil {
				return err
			}
			place, err := tx.Bucket(bucketOrder).NextSequence()
			if err := errors.Join(err, tx.Bucket(bucketWrites).Put([]byte(w.ID), encoded), tx.Bucket(bucketOrder).Put(key(place), []byte(w.ID)),
				tx.Bucket(bucketStates).Put([]byte(w.ID), []byte(`{"state":"queued","tries":0,"updated":"2030-01-02T03:04:05Z"}`))); err != nil {
				return err
			}
			writes = append(writes, w)
		}
		return nil
	})
	if err := errors.Join(err, s.db.Close()); err != nil {
		t.Fatal(err)
	}
	return writes
}

// TestForeignFile checks that a file of another kind is neither changed nor moved, and that the
// error says what to do.
func TestForeignFile(t *testing.T) {
	version := make([]byte, 8192)
	for _, page := range [][]byte{version[:4096], version[4096:]} {
		b := page[pageHead:]
		order.PutUint32(b, libraryMagic)
		order.PutUint32(b[4:], libraryVersion+1)
		order.PutUint32(b[8:], 4096)
		sum := fnvOf(b[:metaSize-8])
		order.PutUint64(b[metaSize-8:], sum)
	}
	for name, c := range map[string]struct {
		content []byte
		words   string
	}{
		"a text":              {[]byte("dear diary"), "move it away"},
		"a longer text":       {bytes.Repeat([]byte("dear diary "), 4000), "move it away"},
		"another version":     {version, "run the version that wrote it"},
		"some client's words": {forged(t)[:100], "move it away"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "writes.db")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path, storetest.Wide, time.Now, slog.New(slog.DiscardHandler))
			if err == nil || !bytes.Contains([]byte(err.Error()), []byte(c.words)) {
				t.Errorf("%v, want %q", err, c.words)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, c.content) {
				t.Errorf("it was changed: %v", err)
			}
		})
	}
}

// TestUnusablePaths checks that each error says what to do.
func TestUnusablePaths(t *testing.T) {
	dir := t.TempDir()
	held := filepath.Join(dir, "held.db")
	s, err := Open(held, storetest.Wide, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for path, words := range map[string]string{
		dir:                                   "name a file in this directory",
		filepath.Join(dir, "no", "writes.db"): "create the directory",
		filepath.Join(held, "writes.db"):      "name another file",
		"/dev/null":                           "name another file",
		held:                                  "stop the other",
	} {
		if _, err := Open(path, storetest.Wide, time.Now, slog.New(slog.DiscardHandler)); err == nil || !bytes.Contains([]byte(err.Error()), []byte(words)) {
			t.Errorf("%s: %v, want %q", path, err, words)
		}
	}
}

// TestShortened checks that a file that becomes shorter while it is in use breaks only the queue,
// and that the next start salvages the rest.
func TestShortened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "writes.db")
	s, err := Open(path, storetest.Wide, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		if _, err := s.Add(t.Context(), storetest.New(fmt.Sprint("/", n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if id, err := s.Add(t.Context(), storetest.New("/late")); err == nil {
			t.Errorf("%s was accepted", id)
		}
	}
	if _, err := s.Find(t.Context(), storetest.New("/").ID); !errors.Is(err, write.ErrDamaged) {
		t.Errorf("Find: %v", err)
	}
	if s.Broken() == nil {
		t.Error("it does not know that it is broken")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s, err = Open(path, storetest.Wide, time.Now, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func fnvOf(b []byte) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	sum := uint64(offset)
	for _, c := range b {
		sum = (sum ^ uint64(c)) * prime
	}
	return sum
}

// TestDamagedRecords checks that records that are damaged while the file is in use are set aside,
// and block neither the queue nor the other dead letters.
func TestDamagedRecords(t *testing.T) {
	s := opener(t)(t, storetest.Wide).(*Store)
	work := &part{s, t.Context()}
	var writes []*write.Write
	for n := range 6 {
		w := storetest.New(fmt.Sprint("/", n))
		if _, err := s.Add(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		writes = append(writes, w)
	}
	entries, err := work.Next(t.Context())
	if err != nil || len(entries) != 6 {
		t.Fatalf("%d, %v", len(entries), err)
	}
	for _, e := range entries[:3] {
		r, err := work.Load(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		r.State = write.State{Phase: write.Dead, Tries: 1, Updated: time.Now()}
		if err := work.Put(t.Context(), e, r); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range []*write.Write{writes[1], writes[4]} {
		err := s.update(func(tx *txn) error {
			value := bytes.Clone(tx.Bucket(bucketWrites).Get([]byte(w.ID)))
			value[len(value)/2] ^= 4
			return tx.Bucket(bucketWrites).Put([]byte(w.ID), value)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if letters, err := s.Letters(t.Context(), 10); err != nil || len(letters) != 2 {
		t.Errorf("%d dead letters, %v; want the 2 that are sound", len(letters), err)
	}
	if _, err := work.Load(t.Context(), entries[4]); !errors.Is(err, write.ErrDamaged) {
		t.Errorf("the damaged write: %v", err)
	}
	if err := work.Lose(t.Context(), entries[4]); err != nil {
		t.Fatal(err)
	}
	if stats, _ := s.Stats(t.Context()); stats.Pending != 2 || stats.Dead != 2 || stats.Lost != 2 {
		t.Errorf("%+v", stats)
	}
	for _, w := range []*write.Write{writes[1], writes[4]} {
		if r, err := s.Find(t.Context(), w.ID); err != nil || r.Phase != write.Lost {
			t.Errorf("%+v, %v", r, err)
		}
	}
	_ = s.view(func(tx *txn) error {
		if n := tx.Bucket(bucketAside).Stats().KeyN; n != 4 {
			t.Errorf("%d records are kept aside, want the write and the state of both", n)
		}
		return nil
	})
}
