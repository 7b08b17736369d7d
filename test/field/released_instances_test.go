package field

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/redistest"
)

// TestInstancesThatWaitAreNotLetLooseTogether has the clients of several gateways wait for a call that one of them makes.
// Whatever lets them go lets one more call go to the origin, whichever gateway makes it.
func TestInstancesThatWaitAreNotLetLooseTogether(t *testing.T) {
	for _, r := range releases {
		if strings.HasPrefix(r.keys, "errors:") {
			continue // which says nothing of leases
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			r.testInstances(t)
		})
	}
}

func (r *release) testInstances(t *testing.T) {
	const instances, clients = 5, 6
	var calls, now, together atomic.Int64
	gate := NewGate(t)
	o := NewOrigin(t, func(w http.ResponseWriter, req *http.Request) {
		n := calls.Add(1)
		defer now.Add(-1)
		for at := now.Add(1); at > together.Load(); {
			together.Store(at)
		}
		if n == 1 {
			gate.Wait()
		}
		r.answer(n, w, req)
	})
	coalesce := "coalesce: {across_instances: true}"
	if r.keys != "" {
		coalesce = strings.Replace(r.keys, "{wait:", "{across_instances: true, wait:", 1)
	}
	yaml := fmt.Sprintf("cache: {memory: {size: 8MiB, max_object: 64KiB}, redis: {url: %q, timeout: 5s}}\nupstreams:\n"+
		"  origin: {targets: [%s], timeouts: {first_byte: 9s}}\nroutes:\n  - {name: all, match: {path: /*}, upstream: origin, cache: {enabled: true}, %s}\n",
		redistest.Start(t).URL(), o.URL, coalesce)
	fleet := make([]*Gateway, instances)
	for i := range fleet {
		fleet[i] = Start(t, yaml)
		fleet[i].Preload(t.Context())
	}
	replies := []<-chan *Response{fleet[0].Go("/", "Host", "shop.test")}
	gate.Came(t)
	if !r.gather {
		gate.Open()
	}
	for _, g := range fleet {
		for range clients {
			replies = append(replies, g.Go("/", "Host", "shop.test"))
		}
	}
	if r.gather {
		for _, g := range fleet {
			g.AwaitWaiting(clients)
		}
		gate.Open()
	}
	for _, c := range replies {
		select {
		case got := <-c:
			if got.Err != nil || got.Status != http.StatusOK && got.Status != r.status {
				t.Logf("a client gets %d %q, %v", got.Status, got.Body, got.Err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a client is not answered")
		}
	}
	most := int64(r.most)
	if r.gather {
		most = 1 // the next instance asks when the call of the one before has failed
	}
	if n := together.Load(); n > most {
		t.Errorf("%d instances have %d calls under way at the same time (%d in all); %d are enough", instances, n, calls.Load(), most)
	}
}
