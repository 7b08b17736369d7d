package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/penstock/penstock/cmd/penstock/stats"
)

// statsTimeout bounds one request to the admin API.
const statsTimeout = 10 * time.Second

// runStats implements `penstock stats`.
func runStats(ctx context.Context, c *call) error {
	o := stats.Options{Out: c.stdout}
	fs := c.flags("stats")
	fs.BoolVar(&o.Once, "once", false, "print the figures once")
	fs.BoolVar(&o.JSON, "json", false, "print the body of GET /api/stats (with --cost: /api/cost), one object per line")
	fs.BoolVar(&o.Cost, "cost", false, "show this month's costs and savings")
	var gate adminClient
	gate.flags(fs)
	if err := c.parse(fs); err != nil {
		return err
	}
	if err := gate.find(c.env); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := gate.transport()
	defer t.CloseIdleConnections()
	o.Where = gate.where()
	o.Live = terminal(c)
	_, plain := c.env("NO_COLOR")
	o.Colour = o.Live && !plain
	o.Get = func(ctx context.Context, path string) ([]byte, error) { return gate.get(ctx, t, path) }
	return stats.Run(ctx, o)
}

// terminal reports whether stdout can be drawn on.
func terminal(c *call) bool {
	f, ok := c.stdout.(*os.File)
	name, _ := c.env("TERM")
	return ok && name != "dumb" && term.IsTerminal(int(f.Fd()))
}

// get requests a resource of the admin API.
func (d *adminClient) get(ctx context.Context, t http.RoundTripper, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, statsTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(d.url.String(), "/")+path, nil)
	if err != nil {
		return nil, err
	}
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("the gateway does not answer at %s: %w", d.where(), err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxFigures))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the gateway at %s: %w", d.where(), err)
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, errNoToken
	case resp.StatusCode != http.StatusOK:
		var said purgeAnswer
		_ = json.Unmarshal(text, &said) // said stays empty if the response is not a gateway's JSON
		return nil, fmt.Errorf("%s (%d %s)", strings.Join(said.said(), "; "), resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return text, nil
}

// maxFigures bounds a response, in bytes. It allows for the figures of many routes.
const maxFigures = 32 << 20
