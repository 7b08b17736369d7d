package files

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// words is the content of a test's file: lines that begin with a digit.
type words []string

func (w *words) has(one string) bool { return slices.Contains(*w, one) }

func readWords(text []byte) (*words, error) {
	found := words(strings.Fields(string(text)))
	if i := slices.Index(found, "nobody"); i >= 0 {
		return nil, errors.New("line " + strconv.Itoa(i+1) + ": nobody")
	}
	return &found, nil
}

// logged collects log lines. It may be used concurrently.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns the lines since the last call.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// TestWatcher follows a file that is changed, broken, removed and brought back.
func TestWatcher(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	write := func(text string) {
		t.Helper()
		next := path + ".next"
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
	}
	write("10.0.0.1")
	one, two := "10.0.0.1", "10.0.0.2"
	synctest.Test(t, func(t *testing.T) {
		var log logged
		w := NewWatcher("words", readWords, slog.New(slog.NewTextHandler(&log, nil)))
		l, err := w.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		w.Watch(map[string]*File[words]{path: l})
		passed := func(what string, hasOne, hasTwo bool, lines int) {
			t.Helper()
			time.Sleep(3 * every)
			synctest.Wait()
			if l.Value().has(one) != hasOne || l.Value().has(two) != hasTwo {
				t.Errorf("%s: the list has the first address: %v, the second: %v", what, l.Value().has(one), l.Value().has(two))
			}
			if text := log.take(); strings.Count(text, "\n") != lines {
				t.Errorf("%s: other than %d lines were logged:\n%s", what, lines, text)
			}
		}
		passed("as opened", true, false, 0)
		write("10.0.0.2")
		passed("changed, of the same size", false, true, 1)
		write("10.0.0.1\nnobody\n")
		time.Sleep(3 * every)
		synctest.Wait()
		if text := log.take(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "line 2: ") || !strings.Contains(text, path) {
			t.Errorf("the log does not name the broken line, once:\n%s", text)
		}
		passed("broken", false, true, 0)
		if again, err := w.Open(path); err != nil || again != l {
			t.Errorf("a watched list that is broken: %v", err)
		}
		passed("still broken", false, true, 0)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		passed("removed", false, true, 1)
		write("10.0.0.1")
		passed("back", true, false, 1)
		write("10.0.0.2")
		w.Watch(nil)
		passed("no longer watched", true, false, 0)
		w.Watch(map[string]*File[words]{path: l})
		passed("watched again", false, true, 1)
		w.Close()
		w.Watch(map[string]*File[words]{path: l})
		write("10.0.0.1")
		passed("after Close", false, true, 0)
	})
}

// TestWatcherWaitsForTheEndOfAWrite: a file that changes at each look is not read.
func TestWatcherWaitsForTheEndOfAWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("10.0.0.1\n")
	w := NewWatcher("words", readWords, slog.New(slog.DiscardHandler))
	l, err := w.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	w.files = map[string]*File[words]{path: l}
	one := "10.0.0.1"
	for _, text := range []string{"", "10.0.0.2\n", "10.0.0.2\n10.0.0.3\n"} {
		write(text)
		if w.look(); !l.Value().has(one) {
			t.Fatalf("%q was read while it was written", text)
		}
	}
	if w.look(); l.Value().has(one) || !l.Value().has("10.0.0.3") {
		t.Error("the complete file was not read")
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, []byte("10.0.0.1\nnobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"): "no such file",
		dir:                           "is not a file of words",
		broken:                        "broken: line 2: nobody",
	} {
		if _, err := NewWatcher("words", readWords, slog.New(slog.DiscardHandler)).Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
