// Package explain holds what penstock explain says against what a running gateway does.
package explain

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/penstock/penstock/test/load/program"
)

var gatewayBinary *program.Binary

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "explain")
	if err == nil {
		defer os.RemoveAll(dir)
		gatewayBinary, err = program.Build(dir, false)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
