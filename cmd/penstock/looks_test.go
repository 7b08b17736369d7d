package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReloadAfterAFolderWasAway changes the directories on the path to the configuration. The
// gateway applies the next file that appears at the path.
func TestReloadAfterAFolderWasAway(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, p *running, base, config string){
		"the folder is away for a while": func(t *testing.T, p *running, base, config string) {
			rename(t, filepath.Join(base, "conf"), filepath.Join(base, "old"))
			p.await("there is no configuration at")
			makeFolder(t, filepath.Join(base, "conf"))
			replace(t, p.config, config)
		},
		"the folder above is replaced": func(t *testing.T, p *running, base, config string) {
			makeFolder(t, filepath.Join(base+".new", "conf"))
			replace(t, filepath.Join(base+".new", "conf", "gateway.yaml"), config)
			rename(t, base, base+".old")
			rename(t, base+".new", base)
		},
		"the folder above is away, and the folder comes before its file": func(t *testing.T, p *running, base, config string) {
			rename(t, base, base+".old")
			p.await("there is no configuration at")
			makeFolder(t, filepath.Join(base, "conf"))
			time.Sleep(2 * settle) // as on a slow mount
			replace(t, p.config, config)
		},
		"a link to the folder is swapped": func(t *testing.T, p *running, base, config string) {
			makeFolder(t, filepath.Join(base, "other"))
			replace(t, filepath.Join(base, "other", "gateway.yaml"), config)
			rename(t, filepath.Join(base, "conf"), filepath.Join(base, "old"))
			if err := os.Symlink("other", filepath.Join(base, "conf")); err != nil {
				t.Fatal(err)
			}
		},
		"the file is deleted and made again": func(t *testing.T, p *running, base, config string) {
			if err := os.Remove(p.config); err != nil {
				t.Fatal(err)
			}
			p.await("there is no configuration at")
			replace(t, p.config, config)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin := hello(t)
			p := prepare(t)
			base := filepath.Join(p.dir, "base")
			p.config = filepath.Join(base, "conf", "gateway.yaml")
			makeFolder(t, filepath.Dir(p.config))
			p.write(plain(origin))
			p.run()
			change(t, p, base, strings.Replace(plain(origin), "${MARK:-none}", "first", 1))
			c := browser(t)
			eventually(t, "is put in force", func() bool { return p.mark(c) == "first" })
			p.write(strings.Replace(plain(origin), "${MARK:-none}", "second", 1)) // the watch follows the new directory
			eventually(t, "is put in force, too", func() bool { return p.mark(c) == "second" })
		})
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func makeFolder(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestWatcherWithoutNotifications runs the watcher as on a system without notifications. The
// periodic checks find each change, and from time to time call for comparing the contents without a
// change.
func TestWatcherWithoutNotifications(t *testing.T) {
	file := filepath.Join(t.TempDir(), "folder", "file")
	w := watchWith(nil, slog.New(slog.DiscardHandler), 5*time.Millisecond)
	defer w.close()
	w.follow([]string{file})
	heard := func(change string) {
		t.Helper()
		select {
		case <-w.changes:
		case <-time.After(10 * time.Second):
			t.Fatalf("the watcher did not report %s", change)
		}
	}
	makeFolder(t, filepath.Dir(file))
	replace(t, file, "x")
	heard("a new file")
	replace(t, file, "y")
	heard("a replaced file")
	if err := os.RemoveAll(filepath.Dir(file)); err != nil {
		t.Fatal(err)
	}
	heard("a deleted file")
	heard("the time to compare contents")
}

// TestLooks checks that a visible change is due at once, and that the contents are compared after
// contentEvery checks.
func TestLooks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	l := looks{until: contentEvery}
	expect := func(want bool, event string) {
		t.Helper()
		if got := l.due([]string{file}); got != want {
			t.Errorf("%s: due is %v", event, got)
		}
	}
	expect(true, "the first look")
	expect(false, "nothing that has changed")
	replace(t, file, "one")
	expect(true, "the file has come")
	expect(false, "nothing")
	replace(t, file, "two")
	expect(true, "the file is another")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, info.ModTime(), info.ModTime().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	expect(true, "the time is another")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	expect(true, "the file has gone")
	n := 0
	for ; !l.due([]string{file}) && n < 1000; n++ {
	}
	if n != contentEvery {
		t.Errorf("contents are compared after %d looks", n)
	}
}
