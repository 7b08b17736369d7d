package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// healthcheckTimeout is below what container engines allow a check by default.
const healthcheckTimeout = 2 * time.Second

// runHealthcheck asks the admin listener whether the gateway is ready. It is what an image without a shell or curl uses.
func runHealthcheck(ctx context.Context, c *call) error {
	fs := c.flags("healthcheck")
	path := fs.String("config", defaultConfig, "the configuration of the gateway to ask")
	if err := c.parse(fs); err != nil {
		return err
	}
	r, err := source{*path, c.env}.read()
	if err != nil {
		return err
	}
	if r.config.Admin.Address == "" {
		return usageError(fmt.Sprintf("%s has no admin.address to ask", *path))
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	return askReady(ctx, r.config.Admin.Address)
}

// askReady is nil when the admin listener at address answers /readyz with 200.
func askReady(ctx context.Context, address string) error {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		network, addr := adminNetwork(address)
		return new(net.Dialer).DialContext(ctx, network, reachable(addr))
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/readyz", nil)
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

// adminNetwork splits the admin address into what net.Listen and net.Dial want.
func adminNetwork(address string) (network, addr string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

// reachable replaces an address that means every interface by loopback.
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
