package field

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// TestBatchAnswerThatIsNoList: an origin whose answers are no lists is not asked for each id of each request anew, and clients are told 502.
func TestBatchAnswerThatIsNoList(t *testing.T) {
	g, o := dataGateway(t, map[string]string{"many": "<p>under repair</p>"})
	const ids, rounds = 5, 4
	for round := range rounds {
		var clients sync.WaitGroup
		for n := range ids {
			clients.Go(func() {
				if r := g.Get(fmt.Sprintf("/bat/%d", ids*round+n)); r.Status != http.StatusBadGateway {
					t.Errorf("%d %s", r.Status, r.Body)
				}
			})
		}
		clients.Wait()
	}
	if most := ids*2 + rounds*2; o.Calls() > most {
		t.Errorf("the origin was asked %d times for %d reads, want %d at the most", o.Calls(), ids*rounds, most)
	}
}
