package writes

import (
	"flag"
	"testing"

	"github.com/penstock/penstock/test/load/program"
)

var (
	full    = flag.Bool("full", false, "20 000 writes and 50 kills, which takes some minutes")
	gateway *program.Binary
)

func TestMain(m *testing.M) { program.Main(m, &gateway, false) }

// size is the first, or with -full the second.
func size(quick, whole int) int {
	if *full {
		return whole
	}
	return quick
}
