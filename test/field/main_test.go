package field

import (
	"io"
	"log"
	"testing"

	"github.com/penstock/penstock/test/load/program"
)

// gateway is the built program, for the tests that run it as an operator does.
var gateway *program.Binary

func TestMain(m *testing.M) { program.Main(m, &gateway, true) }

// quiet takes what servers log of the faults that tests make.
var quiet = log.New(io.Discard, "", 0)
