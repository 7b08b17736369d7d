package addresses

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

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
	one, two := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	synctest.Test(t, func(t *testing.T) {
		var log logged
		w := NewWatcher(slog.New(slog.NewTextHandler(&log, nil)))
		l, err := w.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		w.Watch(map[string]*List{path: l})
		passed := func(what string, hasOne, hasTwo bool, lines int) {
			t.Helper()
			time.Sleep(3 * every)
			synctest.Wait()
			if l.Has(one) != hasOne || l.Has(two) != hasTwo {
				t.Errorf("%s: the list has the first address: %v, the second: %v", what, l.Has(one), l.Has(two))
			}
			if text := log.take(); strings.Count(text, "\n") != lines {
				t.Errorf("%s: other than %d lines were logged:\n%s", what, lines, text)
			}
		}
		passed("as opened", true, false, 0)
		write("10.0.0.2")
		passed("changed, of the same size", false, true, 1)
		write("10.0.0.1\n10.0.0.300\n")
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
		w.Watch(map[string]*List{path: l})
		passed("watched again", false, true, 1)
		w.Close()
		w.Watch(map[string]*List{path: l})
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
	w := NewWatcher(slog.New(slog.DiscardHandler))
	l, err := w.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	w.lists = map[string]*List{path: l}
	one := netip.MustParseAddr("10.0.0.1")
	for _, text := range []string{"", "10.0.0.2\n", "10.0.0.2\n10.0.0.3\n"} {
		write(text)
		if w.look(); !l.Has(one) {
			t.Fatalf("%q was read while it was written", text)
		}
	}
	if w.look(); l.Has(one) || !l.Has(netip.MustParseAddr("10.0.0.3")) {
		t.Error("the complete file was not read")
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, []byte("::1\nnobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"): "no such file",
		dir:                           "is not a file of addresses",
		broken:                        `broken: line 2: "nobody" is not a network`,
	} {
		if _, err := NewWatcher(slog.New(slog.DiscardHandler)).Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
