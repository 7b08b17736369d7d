//go:build unix

package shared

import (
	"context"
	"log/slog"
	"strings"
	"syscall"
	"testing"
)

// TestNoFilesLeft checks that the log names the gateway's lack of open files, and does not leave it
// to the operator to look for the cause in Redis.
func TestNoFilesLeft(t *testing.T) {
	var log strings.Builder
	c, err := Dial(Config{URL: "redis://127.0.0.1:1", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	c.cancel() // without the background probe, which logs too
	c.watched.Wait()
	c.stop = context.Background()
	defer c.Close()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)
	for range 100 {
		_ = c.call(t.Context(), func(ctx context.Context) error { return c.rdb.Ping(ctx).Err() })
	}
	if !strings.Contains(log.String(), "the gateway has no open files left (ulimit -n)") || c.Health().State == Up {
		t.Errorf("%v: %s", c.Health(), log.String())
	}
}
