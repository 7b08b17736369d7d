package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
)

// serve listens on a free port, says where, and stays.
func serve(h http.Handler) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", ln.Addr())
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	time.AfterFunc(5*time.Minute, func() { s.Close() }) // whoever has started it may be gone
	return s.Serve(ln)
}

// fetch reads a whole answer, and tells whether it is one.
func fetch(c *http.Client, url string) bool {
	resp, err := c.Get(url)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	return err == nil && n > 0 && resp.StatusCode == http.StatusOK
}

var parts = []string{"user", "orders", "payments"}

// beUpstream answers as all the services: /slow/… after 100 ms, /fast/… at once; /cached/… says that it is good for 10 minutes; /items for many items.
func beUpstream(string) error {
	var calls atomic.Int64
	body := `{"name":"` + strings.Repeat("x", 600) + `","amount":12345678901234567890.10,"list":[1,2,3]}`
	mux := http.NewServeMux()
	answer := func(wait time.Duration, cacheControl string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			time.Sleep(wait)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", cacheControl)
			_, _ = io.WriteString(w, body)
		}
	}
	mux.HandleFunc("/slow/", answer(100*time.Millisecond, "no-store"))
	mux.HandleFunc("/fast/", answer(0, "no-store"))
	mux.HandleFunc("/cached/", answer(0, "max-age=600"))
	mux.HandleFunc("/item/{id}", func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		time.Sleep(5 * time.Millisecond)
		fmt.Fprintf(w, `{"id":%q}`, r.PathValue("id"))
	})
	mux.HandleFunc("/items", func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		time.Sleep(5 * time.Millisecond)
		var items []string
		for id := range strings.SplitSeq(r.URL.Query().Get("ids"), ",") {
			items = append(items, fmt.Sprintf(`{"id":%q}`, id))
		}
		fmt.Fprintf(w, `{"data":[%s]}`, strings.Join(items, ","))
	})
	mux.HandleFunc("/calls", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, calls.Load()) })
	return serve(mux)
}

const gatewayYAML = `
version: 1
upstreams:
  services: {targets: [%q], pool: {max: 1024}}
routes:
  - {name: slow, match: {path: "/slow/{id}", methods: [GET]}, aggregate: {parts: {user: {upstream: services, path: "/slow/user/{id}"}, orders: {upstream: services, path: "/slow/orders/{id}"}, payments: {upstream: services, path: "/slow/payments/{id}"}}}}
  - {name: fast, match: {path: "/fast/{id}", methods: [GET]}, aggregate: {parts: {user: {upstream: services, path: "/fast/user/{id}"}, orders: {upstream: services, path: "/fast/orders/{id}"}, payments: {upstream: services, path: "/fast/payments/{id}"}}}}
  - {name: mixed, match: {path: "/mixed/{id}", methods: [GET]}, aggregate: {parts: {user: {upstream: services, path: "/cached/user/{id}"}, orders: {upstream: services, path: "/cached/orders/{id}"}, payments: {upstream: services, path: "/fast/payments/{id}"}}}}
  - {name: single, match: {path: "/single/{id}"}, upstream: services, rewrite: {path: "/item/{id}"}}
  - {name: single-cached, match: {path: "/single-cached/{id}"}, upstream: services, rewrite: {path: "/item/{id}"}, cache: {enabled: true, ttl: {default: 60s}}}
  - {name: batched, match: {path: "/batched/{id}", methods: [GET]}, batch: {upstream: services, path: "/items?ids={ids}", key: id, items: data}}
  - {name: batched-cached, match: {path: "/batched-cached/{id}", methods: [GET]}, batch: {upstream: services, path: "/items?ids={ids}", key: id, items: data}, cache: {enabled: true, ttl: {default: 60s}}}
`

func beGateway(upstream string) error {
	cfg, err := config.Parse("fanout.yaml", fmt.Appendf(nil, gatewayYAML, upstream), nil, nil)
	if err != nil {
		return err
	}
	g, err := proxy.New(cfg, proxy.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return serve(g)
}

// bePlain is the same by hand: the three calls in parallel, their answers as they came in one object.
func bePlain(upstream string) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024}, Timeout: 10 * time.Second}
	mux := http.NewServeMux()
	mux.HandleFunc("/{speed}/{id}", func(w http.ResponseWriter, r *http.Request) {
		answers := make([]json.RawMessage, len(parts))
		group, ctx := errgroup.WithContext(r.Context())
		for i, part := range parts {
			group.Go(func() error {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream+"/"+r.PathValue("speed")+"/"+part+"/"+r.PathValue("id"), nil)
				if err != nil {
					return err
				}
				resp, err := client.Do(req)
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				answers[i], err = io.ReadAll(resp.Body)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		whole := make(map[string]json.RawMessage, len(parts))
		for i, part := range parts {
			whole[part] = answers[i]
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(whole) // a client that has gone is no concern of the handler
	})
	return serve(mux)
}
