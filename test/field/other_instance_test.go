package field

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/redistest"
)

// besideRedis starts two gateways that share one Redis. Requests must name the same Host to both: it is in the key. route has further keys of their route.
func besideRedis(t *testing.T, origin, route string) (a, b *gatewaytest.Gateway) {
	t.Helper()
	yaml := fmt.Sprintf("cache: {memory: {size: 64MiB, max_object: 64KiB}, redis: {url: %q, timeout: 5s}}\nupstreams:\n  origin: {targets: [%s]}\n"+
		"routes:\n  - name: all\n    match: {path: /*}\n    upstream: origin\n    cache: {enabled: true}\n    %s\n", redistest.Start(t).URL(), origin, route)
	a, b = gatewaytest.Start(t, yaml), gatewaytest.Start(t, yaml)
	for _, g := range []*gatewaytest.Gateway{a, b} {
		g.Preload(context.Background())
	}
	return a, b
}

// TestWaitingForAnotherInstanceIsCounted: a request whose call another instance makes waits for the answer to another's call, like those that wait
// for a call of their own instance.
func TestWaitingForAnotherInstanceIsCounted(t *testing.T) {
	gate := gatewaytest.NewGate(t)
	origin := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		gate.Wait()
		gatewaytest.Text("text", "Cache-Control", "max-age=60")(w, r)
	})
	a, b := besideRedis(t, origin.URL, "")
	first := a.Go("/p", "Host", "shop.test")
	gate.Came(t)
	second, third := b.Go("/p", "Host", "shop.test"), b.Go("/p", "Host", "shop.test")
	b.AwaitWaiting(2)
	gate.Open()
	for _, c := range []<-chan *gatewaytest.Response{first, second, third} {
		if r := b.Await(c); r.Body != "text" {
			t.Errorf("%d %q", r.Status, r.Body)
		}
	}
	if n := origin.Calls(); n != 1 {
		t.Errorf("%d calls to the origin", n)
	}
	b.AwaitWaiting(0)
}

// TestNoWaitForAnotherInstanceThatHasNothingToShare: as soon as an instance knows that its response is not for others, those that wait elsewhere make
// their own calls, however long that response goes on.
func TestNoWaitForAnotherInstanceThatHasNothingToShare(t *testing.T) {
	for name, tt := range map[string]struct {
		fields []string
		status int
		begins int // bytes of the body that come before the rest is held back
	}{
		"private":     {[]string{"Cache-Control", "private"}, 200, 1},
		"never fresh": {[]string{"Cache-Control", "max-age=0", "Etag", `"1"`}, 200, 1},
		"no-cache":    {[]string{"Cache-Control", "no-cache", "Etag", `"1"`}, 200, 1},
		"larger than the limit of stored responses": {[]string{"Cache-Control", "max-age=60", "Content-Length", "100000"}, 200, 1},
		"it turns out to be larger":                 {[]string{"Cache-Control", "max-age=60"}, 200, 80 << 10},
		"an error of the origin":                    {nil, 500, 1},
		"an error that may not be stored":           {nil, 404, 1},
		"varies on everything":                      {[]string{"Cache-Control", "max-age=60", "Vary", "*"}, 200, 1},
		"it goes on and on":                         {[]string{"Content-Type", "text/event-stream"}, 200, 1},
		"never fresh, and larger than kept":         {[]string{"Cache-Control", "max-age=0", "Etag", `"1"`}, 200, 80 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			origin := gatewaytest.NewOrigin(t, nil)
			a, b := besideRedis(t, origin.URL, "coalesce: {enabled: true, across_instances: true, wait: 1m}")
			head, body := gatewaytest.NewGate(t), gatewaytest.NewGate(t)
			origin.Answer(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-First") == "" {
					gatewaytest.Text("second", "Cache-Control", "private")(w, r)
					return
				}
				head.Wait()
				for i := 0; i+1 < len(tt.fields); i += 2 {
					w.Header().Set(tt.fields[i], tt.fields[i+1])
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(strings.Repeat("x", tt.begins))) // the client's going is not the origin's concern
				_ = http.NewResponseController(w).Flush()
				body.Wait()
			})
			ctx, leave := context.WithTimeout(t.Context(), 30*time.Second)
			defer leave()
			go func() {
				if resp, err := a.Open(ctx, http.MethodGet, "/p", nil, "Host", "shop.test", "X-First", "1"); err == nil {
					defer resp.Body.Close()
					_, _ = resp.Body.Read(make([]byte, 1))
					<-ctx.Done()
				}
			}()
			head.Came(t)
			second := b.Go("/p", "Host", "shop.test")
			b.AwaitWaiting(1)
			head.Open()
			if r := b.Await(second); r.Body != "second" {
				t.Errorf("%d %.20q (%s)", r.Status, r.Body, r.Header.Get("Cache-Status"))
			}
		})
	}
}
