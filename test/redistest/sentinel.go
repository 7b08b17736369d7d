package redistest

import (
	"os"
	"path/filepath"
	"testing"
)

// StartSentinel runs one Sentinel that watches over master under the given name.
func StartSentinel(tb testing.TB, name string, master *Server) *Server {
	tb.Helper()
	return launch(tb, func(port string) []string {
		file := filepath.Join(tb.TempDir(), "sentinel.conf") // Sentinel writes to it
		conf := "sentinel monitor " + name + " 127.0.0.1 " + master.Port() + " 1\n"
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			tb.Fatal(err)
		}
		return []string{file, "--port", port, "--sentinel"}
	})
}
