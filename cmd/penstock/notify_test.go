package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// TestNotifySystemd plays systemd's part, with a socket in the file system and with an abstract
// socket.
func TestNotifySystemd(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@penstock-notify-test"} {
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		notifySystemd(func(string) (string, bool) { return name, true }, notifyReady, slog.New(slog.DiscardHandler))
		if err := socket.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 64)
		n, err := socket.Read(b)
		if err != nil || string(b[:n]) != "READY=1" {
			t.Errorf("%s: %q, %v", name, b[:n], err)
		}
	}
	notifySystemd(func(string) (string, bool) { return "", false }, notifyReady, nil) // not started by systemd
}
