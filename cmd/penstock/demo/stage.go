package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
)

// gatewayYAML is the demo's configuration. The first verb is the gateway's address, the others are
// the addresses of the origins.
const gatewayYAML = `
version: 1
server:
  listen: [{address: %q}]
  timeouts: {drain: 5s}
admin: {address: "127.0.0.1:0"}
cache: {memory: {size: 64MiB}}
cost: {currency: USD, egress_per_gb: 0.09, origin_per_gb: 0.02, origin_per_million_requests: 0.60}
upstreams:
  api:    {targets: [%q], pool: {max: 256}}
  quotes: {targets: [%q], pool: {max: 256}}
  orders: {targets: [%q], pool: {max: 256}}
  web:    {targets: [%q], pool: {max: 256}}
defaults:
  cache: {enabled: true}
  compress: {min_size: 500}
routes:
  - {name: api,    match: {path: /api/*}, upstream: api}
  - {name: quotes, match: {path: /quotes}, upstream: quotes}
  - {name: orders, match: {path: /orders}, upstream: orders}
  - {name: items,  match: {path: "/items/{id}"}, upstream: orders}
  - name: order-view
    match: {path: /order-view}
    aggregate:
      parts:
        order: {upstream: orders, path: /orders}
        items: {foreach: "order.item_ids.#", batch: items-by-id}
  - name: profile
    match: {path: /profile}
    aggregate:
      parts:
        user: {upstream: orders, path: /profile/user}
        orders: {upstream: orders, path: /profile/orders}
        payments: {upstream: orders, path: /profile/payments}
  - name: items-by-id
    match: {path: "/batched/items/{id}"}
    batch: {upstream: orders, path: "/items?ids={ids}", window: 100ms, max: 100, items: data}
  - name: web
    match: {path: /*}
    upstream: web
    cache_control:
      - {when: {extension: [js, css, png]}, set: "public, max-age=31536000, immutable"}
      - {when: {extension: [html, txt, json]}, set: "public, max-age=300, must-revalidate"}
`

// stage holds everything that runs: the origins, the gateway in front of them, and the clients.
type stage struct {
	api, quotes, orders, web *origin
	gateway                  *proxy.Gateway
	server                   *http.Server
	served                   chan struct{}
	address                  string
	files                    []*file

	through *client // sends requests to the gateway
	clients []*client
}

func newStage(version string) (*stage, error) {
	s := &stage{files: website(time.Now().Add(-24 * time.Hour)), served: make(chan struct{})}
	if err := s.startOrigins(); err != nil {
		s.close()
		return nil, err
	}
	if err := s.startGateway(version); err != nil {
		s.close()
		return nil, err
	}
	s.through = s.client("http://" + s.address)
	return s, nil
}

func (s *stage) startOrigins() error {
	for _, o := range []struct {
		name    string
		place   **origin
		handler http.Handler
	}{
		{"api", &s.api, apiOrigin()},
		{"quotes", &s.quotes, quoteOrigin()},
		{"orders", &s.orders, ordersOrigin()},
		{"web", &s.web, webOrigin(s.files)},
	} {
		var err error
		if *o.place, err = listen(o.name, "127.0.0.1:0", o.handler); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) startGateway(version string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("the gateway cannot listen: %w", err)
	}
	s.address = ln.Addr().String()
	text := fmt.Sprintf(gatewayYAML, s.address, s.api.url(), s.quotes.url(), s.orders.url(), s.web.url())
	cfg, err := config.Parse("demo.yaml", []byte(text), nothing, noFile)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	if s.gateway, err = proxy.New(cfg, proxy.Options{Log: quiet, Version: version}); err != nil {
		return errors.Join(err, ln.Close())
	}
	s.gateway.SetReady(true)
	s.server = &http.Server{Handler: s.gateway, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(quiet.Handler(), slog.LevelWarn)}
	go func() {
		defer close(s.served)
		_ = s.server.Serve(ln) // close makes it return ErrServerClosed
	}()
	return nil
}

// nothing is an empty environment: the demo's configuration refers to no variables.
func nothing(string) (string, bool) { return "", false }

func noFile(name string) ([]byte, error) {
	return nil, fmt.Errorf("the demo reads no files, so it cannot read %s", name)
}

// client returns a new client, which stage.close closes.
func (s *stage) client(base string) *client {
	c := newClient(base)
	s.clients = append(s.clients, c)
	return c
}

// direct returns a client that sends requests to an origin itself.
func (s *stage) direct(o *origin) *client { return s.client(o.url()) }

// origins returns the running origins.
func (s *stage) origins() []*origin {
	var out []*origin
	for _, o := range []*origin{s.api, s.quotes, s.orders, s.web} {
		if o != nil {
			out = append(out, o)
		}
	}
	return out
}

// calls returns the number of requests to all origins.
func (s *stage) calls() (n int64) {
	for _, o := range s.origins() {
		n += o.calls.Load()
	}
	return n
}

func (s *stage) sent() (n int64) {
	for _, o := range s.origins() {
		n += o.sent.Load()
	}
	return n
}

// picture returns an image of the web origin.
func (s *stage) picture() *file { return s.file("/images/harbour.png") }

func (s *stage) file(suffix string) *file {
	for _, f := range s.files {
		if strings.HasSuffix(f.name, suffix) {
			return f
		}
	}
	return s.files[0]
}

// close stops everything, the gateway first.
func (s *stage) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, c := range s.clients {
		c.close()
	}
	var errs []error
	if s.server != nil {
		if s.server.Shutdown(ctx) != nil {
			s.server.Close()
		}
		<-s.served
	}
	if s.gateway != nil {
		errs = append(errs, s.gateway.Close(ctx))
	}
	for _, o := range s.origins() {
		o.close()
	}
	return errors.Join(errs...)
}
