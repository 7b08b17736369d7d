package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/penstock/penstock/cmd/penstock/listen"
)

// healthcheckTimeout is shorter than the timeout that container engines give a health check by
// default.
const healthcheckTimeout = 2 * time.Second

// runHealthcheck asks the admin listener whether the gateway is ready. Images without a shell or
// curl use it as their health check.
func runHealthcheck(ctx context.Context, c *call) error {
	fs := c.flags("healthcheck")
	path := fs.String("config", defaultConfig, "the configuration of the gateway to ask")
	var upstreams []string
	fs.Func("upstream", "also require that a target of this upstream accepts connections; may be repeated", func(name string) error {
		upstreams = append(upstreams, name)
		return nil
	})
	if err := c.parse(fs); err != nil {
		return err
	}
	r, err := source{path: *path, env: c.env}.read()
	if err != nil {
		return err
	}
	if r.config.Admin.Address == "" {
		return usageError(fmt.Sprintf("%s has no admin.address to ask", *path))
	}
	for _, name := range upstreams {
		if r.config.Upstreams[name] == nil {
			return usageError(fmt.Sprintf("%s has no upstream %q", *path, name))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	return askReady(ctx, r.config.Admin.Address, upstreams)
}

// askReady returns nil if the admin listener at address answers /readyz with 200. The request names
// the upstreams, so /readyz checks them too.
func askReady(ctx context.Context, address string, upstreams []string) error {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		network, addr := listen.Network(address)
		return new(net.Dialer).DialContext(ctx, network, reachable(addr))
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/readyz?"+url.Values{"upstream": upstreams}.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("the gateway does not answer at %s: %w", address, err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 256))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway is not ready: %s %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

// reachable replaces an unspecified address (all interfaces) by loopback.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}
