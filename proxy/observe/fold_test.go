package observe

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lockedBuffer may be written and read concurrently.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *lockedBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

func TestFolderLogsACauseOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		folder := Fold(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		log := slog.New(folder)
		for range 1000 {
			log.Warn("no answer", "error", errors.New("refused"), "route", "a")
			log.With("route", "b").Warn("no answer", "error", errors.New("refused"))
		}
		log.Info("hello")
		log.Info("hello")
		synctest.Wait()
		want := "level=WARN msg=\"no answer\" error=refused route=a\nlevel=WARN msg=\"no answer\" route=b error=refused\nlevel=INFO msg=hello\nlevel=INFO msg=hello\n"
		if out.String() != want {
			t.Fatalf("at first:\n%s", out.String())
		}
		out.Reset()
		time.Sleep(foldFor + time.Second)
		synctest.Wait()
		if got := out.String(); strings.Count(got, "repeated=999") != 2 || strings.Count(got, "\n") != 2 {
			t.Fatalf("after a while:\n%s", got)
		}
		out.Reset()
		log.Warn("no answer", "error", errors.New("refused"), "route", "a")
		log.Warn("no answer", "error", errors.New("refused"), "route", "a")
		folder.Close()
		if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "repeated=1") {
			t.Errorf("at the end:\n%s", got)
		}
	})
}

func TestFolderLogsCausesBeyondItsBound(t *testing.T) {
	var out bytes.Buffer
	folder := Fold(slog.NewTextHandler(&out, nil))
	defer folder.Close()
	log := slog.New(folder)
	for i := range 3 * maxCauses {
		log.Error("broken", "what", fmt.Sprint(i))
	}
	if n := strings.Count(out.String(), "\n"); n != 3*maxCauses || len(folder.state.causes) > maxCauses {
		t.Errorf("%d lines, %d causes are remembered", n, len(folder.state.causes))
	}
}
