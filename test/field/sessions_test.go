package field

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestManyStreamsShareFewConnections: a burst of requests opens no more connections to an HTTP/2 origin than its streams need, and no connection carries so many
// that those whose clients do not read use up its window.
func TestManyStreamsShareFewConnections(t *testing.T) {
	clients := 260
	if *fullSize {
		clients = 2600 // on one connection they would hold more than its window
	}
	for speaks, upstream := range map[string]string{"h2c": ", protocol: h2c", "tls h2": ", protocol: auto, tls: {insecure_skip_verify: true}"} {
		t.Run(speaks, func(t *testing.T) {
			o := startSlotOrigin(t, speaks)
			addr := slotGateway(t, o, "", upstream, "").Public()
			before := usual(t, addr)
			each(10, func(int) {
				f := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				for i := range clients / 10 {
					if f.open("GET", "/big?size=1000000", true); i%200 == 199 {
						f = dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
					}
				}
			})
			o.awaitStill(t)
			beside := usual(t, addr)
			if n, least := int(o.conns.Load()), clients/100+1; n < least || n > least+2 {
				t.Errorf("%d connections for %d streams", n, clients)
			}
			if beside > 2*before+500*time.Millisecond {
				t.Errorf("beside streams that stand still a request takes %v, alone %v", beside, before)
			}
		})
	}
}

// TestRefusedRequestGoesToAnotherConnectionAtOnce, if it has no body too.
func TestRefusedRequestGoesToAnotherConnectionAtOnce(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for name, act := range map[string]func(first bool, c *h2Conn, id uint32, nth int64) bool{
			"its connection refuses all": func(first bool, c *h2Conn, id uint32, _ int64) bool {
				if first {
					c.WriteRSTStream(id, http2.ErrCodeRefusedStream)
				}
				return first
			},
			"the origin refuses three in a row": func(_ bool, c *h2Conn, id uint32, nth int64) bool {
				if nth <= 3 {
					c.WriteRSTStream(id, http2.ErrCodeRefusedStream)
				}
				return nth <= 3
			},
			"its connection ends again and again": func(_ bool, c *h2Conn, id uint32, nth int64) bool {
				if nth <= 3 {
					c.WriteGoAway(id-1, http2.ErrCodeNo, nil)
				}
				return nth <= 3
			},
		} {
			t.Run(method+", "+name, func(t *testing.T) {
				var mu sync.Mutex
				var first *h2Conn
				o := newH2Origin(t, func(c *h2Conn, id uint32, nth int64) bool {
					mu.Lock()
					if first == nil {
						first = c
					}
					is := c == first
					mu.Unlock()
					return act(is, c, id, nth)
				})
				g := o.gateway(t)
				begun := time.Now()
				r := g.Do(method, "/", nil)
				if took := time.Since(begun); r.Err != nil || r.Status != 200 || took > 900*time.Millisecond {
					t.Errorf("%d %v after %v: %v", r.Status, r.Err, took, r.Header["Proxy-Status"])
				}
			})
		}
	}
}
