// Package browsertest finds the browser that tests drive, and its driver.
package browsertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	driver  = "playwright-core@1.65.1"
	checker = "axe-core@4.14.1"
)

// Tools returns the folder with the browser's driver and the checker, installed there once; see
// test/tools/setup.sh. The test's folder must be one below test.
func Tools(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("there is no chromium; make setup installs it")
	}
	dir := os.Getenv("CACHE_TESTS_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", ".cache", "http-cache-tests")
	}
	dir, err := filepath.Abs(filepath.Join(dir, "browser"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"playwright-core", "axe-core"} {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", name)); err == nil {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		npm := exec.Command("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--prefix", dir, driver, checker)
		npm.Dir = dir
		if out, err := npm.CombinedOutput(); err != nil {
			t.Fatalf("installing the browser's driver (needs node and npm, which make setup installs): %v\n%s", err, out)
		}
	}
	return dir
}
