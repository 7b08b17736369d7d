package shared

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/proxy/write"
	"github.com/penstock/penstock/proxy/write/storetest"
	"github.com/penstock/penstock/test/redistest"
)

// TestTheQueueIsInOnePlaceWhileItsSlotMoves accepts writes between the steps by which the queue's
// slot moves to another node. Each write is either refused or stays in the queue. If a script made
// a key on the target while the source has the same key still, the move would fail with BUSYKEY.
func TestTheQueueIsInOnePlaceWhileItsSlotMoves(t *testing.T) {
	nodes := redistest.StartCluster(t, 2).Nodes
	w := queueOf(t, "redis+cluster://"+nodes[0].Addr+","+nodes[1].Addr, storetest.Wide)
	accepted := make(map[string]bool)
	add := func(n int) {
		id, err := w.Add(t.Context(), storetest.New(fmt.Sprint("/", n)))
		if err == nil {
			accepted[id] = true
		}
	}
	for n := range 2 * write.Partitions {
		add(n)
	}
	if len(accepted) != 2*write.Partitions {
		t.Fatalf("%d writes were accepted", len(accepted))
	}
	slot := fmt.Sprint(nodes[0].Must("CLUSTER", "KEYSLOT", w.base()))
	from, to := nodes[0], nodes[1]
	if keys, _ := from.Must("CLUSTER", "GETKEYSINSLOT", slot, "1").([]any); len(keys) == 0 {
		from, to = to, from
	}
	steps := 0
	if err := redistest.MoveSlot(slot, from, to, nodes, func() { steps++; add(steps) }); err != nil {
		t.Error(err)
	}
	eventually(t, func() error {
		_, err := w.Add(t.Context(), storetest.New("/last"))
		return err
	})
	open, _ := to.Must("ZRANGE", w.base()+"open", "0", "-1").([]any)
	for id := range accepted {
		if !slices.Contains(open, any(id)) {
			t.Errorf("write %s is gone", id)
		}
	}
	if h := w.c.Health(); strings.Contains(h.State.String(), "down") {
		t.Errorf("Redis is skipped: %v", h.Err)
	}
}
