package file

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/proxy/write"
	"github.com/penstock/penstock/proxy/write/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, opener(t))
}

// opener opens one file for each test that uses it.
func opener(*testing.T) storetest.Open {
	files := map[string]string{}
	open := map[string]*Store{}
	return func(t *testing.T, b write.Bounds) write.Store {
		t.Helper()
		name := t.Name()
		if files[name] == "" {
			files[name] = filepath.Join(t.TempDir(), "writes.db")
		}
		if before := open[name]; before != nil {
			if err := before.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(files[name], b, time.Now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		open[name] = s
		t.Cleanup(func() { s.Close() })
		return s
	}
}

func TestForget(t *testing.T) {
	s := opener(t)(t, storetest.Wide).(*Store)
	w := storetest.New("/a")
	w.Key, w.Policy.DeadLetter = write.Digest{1}, false
	if _, err := s.Add(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	e := write.Entry{ID: w.ID, Place: string(key(1))}
	if err := s.Put(t.Context(), e, &write.Record{Write: w, State: write.State{Phase: write.Dead, Updated: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		there bool
	}{{59 * time.Minute, true}, {61 * time.Minute, false}} {
		if err := s.forget(time.Now().Add(c.after)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Find(t.Context(), w.ID); (err == nil) != c.there {
			t.Errorf("after %v: %v", c.after, err)
		}
	}
	again := storetest.New("/a")
	again.Key = w.Key
	if id, err := s.Add(t.Context(), again); err != nil || id != again.ID {
		t.Errorf("its key is not free again: %s, %v", id, err)
	}
}

func TestUnusableFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "writes.db")
	if _, err := Open(path, storetest.Wide, time.Now, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file in a directory that is not there")
	}
}

// TestPersistent checks that a file that another process has open is opened once that process has
// ended. Until then no write is accepted, and the error gives the reason.
func TestPersistent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "writes.db")
	quiet := slog.New(slog.DiscardHandler)
	first, err := Open(path, storetest.Wide, time.Now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	second := OpenPersistent(path, storetest.Wide, time.Now, quiet)
	defer second.Close()
	w := storetest.New("/a")
	if _, err := second.Add(t.Context(), w); err == nil || second.Problem() == nil || !strings.Contains(err.Error(), "stop the other") {
		t.Errorf("%v, %v", err, second.Problem())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); second.Problem() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(second.Problem())
		}
	}
	if id, err := second.Add(t.Context(), w); err != nil || id != w.ID {
		t.Errorf("%s, %v", id, err)
	}
}

// TestFailedChanges checks that writes are refused, and that Problem gives the reason, if the file
// can't be written.
func TestFailedChanges(t *testing.T) {
	s := opener(t)(t, storetest.Wide).(*Store)
	if _, err := s.Add(t.Context(), storetest.New("/a")); err != nil || s.Problem() != nil {
		t.Fatal(err, s.Problem())
	}
	if err := s.file.Close(); err != nil {
		t.Fatal(err)
	}
	if id, err := s.Add(t.Context(), storetest.New("/a")); err == nil || s.Problem() == nil {
		t.Errorf("%s was accepted; told is %v", id, s.Problem())
	}
}
