package check

import (
	"testing"
	"time"

	"github.com/penstock/penstock/test/fleet"
	"github.com/penstock/penstock/test/load/program"
)

var binary *program.Binary // of the gateway

func TestMain(m *testing.M) { program.Main(m, &binary, false) }

// TestFleetKeepsItsPromises spoils a fleet of three for some seconds. The program in cmd/check does
// so for as long as it is said.
func TestFleetKeepsItsPromises(t *testing.T) {
	h, err := Run(t, fleet.At(binary.Path()), Options{
		Redis: "single", For: 15 * time.Second, Seed: 7, Instances: 3, Clients: 4, Policy: "volatile-lfu", Tags: 200, MaxCutOff: 5 * time.Second, MaxFault: 3 * time.Second,
		Log: t.Logf,
	})
	if err != nil {
		t.Error(err)
	}
	if h == nil {
		return
	}
	t.Log(h.Summary())
	if len(h.Faults) == 0 || len(h.Ops) < 100 {
		t.Error("too little happened")
	}
	for _, v := range Violations(h) {
		t.Error(h.Explain(v))
	}
}
