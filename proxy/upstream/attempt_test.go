package upstream

import (
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// Some HTTP/2 targets end streams above their limit with PROTOCOL_ERROR. A request that is harmless gets another connection then.
func TestStreamThatEndsWithProtocolErrorIsTriedOnceMore(t *testing.T) {
	var streams atomic.Int32
	url := frames(t, func(fr *http2.Framer, id uint32) {
		if streams.Add(1) == 1 {
			fr.WriteRSTStream(id, http2.ErrCodeProtocol)
			return
		}
		headers(fr, id, true, ":status", "204")
	})
	c := to(url)
	c.Protocol = ProtocolH2C
	p := newPool(t, c)
	r, ev := withEvent(request("GET", "/", nil))
	if resp, _ := do(t, p, r); resp.StatusCode != 204 || ev.Tries != 2 {
		t.Errorf("%d after %d tries, want 204 after 2", resp.StatusCode, ev.Tries)
	}
}
