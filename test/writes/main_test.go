package writes

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/penstock/penstock/test/load/program"
)

var (
	full    = flag.Bool("full", false, "20 000 writes and 50 kills, which takes some minutes")
	gateway = new(program.Binary) // built by TestMain
)

func TestMain(m *testing.M) { os.Exit(mainRun(m)) }

func mainRun(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "writes")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if gateway, err = program.Build(dir, false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// size is the first, or with -full the second.
func size(quick, whole int) int {
	if *full {
		return whole
	}
	return quick
}
