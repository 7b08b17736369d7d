// Package explain holds what penstock explain says against what a running gateway does.
package explain

import (
	"testing"

	"github.com/penstock/penstock/test/load/program"
)

var gatewayBinary *program.Binary

func TestMain(m *testing.M) { program.Main(m, &gatewayBinary, false) }
