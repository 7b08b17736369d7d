package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
)

// runCheck goes as far as a gateway goes before it listens: what passes here starts.
func runCheck(ctx context.Context, c *call) error {
	fs := c.flags("check")
	if err := c.parse(fs, "FILE"); err != nil {
		return err
	}
	r, err := source{fs.Arg(0), c.env}.read()
	if err != nil {
		return err
	}
	if err := compiles(ctx, r.config); err != nil {
		return usageError(fs.Arg(0) + ": " + strings.ReplaceAll(err.Error(), "\n", "\npenstock: "+fs.Arg(0)+": "))
	}
	_, err = fmt.Fprintf(c.stdout, "%s: ok, %d routes to %d upstreams\n", fs.Arg(0), len(r.config.Routes), len(r.config.Upstreams))
	return err
}

// compiles reads the certificates, and has everything else made that can be made without becoming a gateway. What is wrong with each of them is in the error.
func compiles(ctx context.Context, cfg *config.Config) error {
	var errs []error
	for i, l := range cfg.Server.Listen {
		if l.TLS == nil {
			continue
		}
		if _, err := readCertificates(l.TLS.Certificates); err != nil {
			errs = append(errs, fmt.Errorf("server.listen[%d].tls: %w", i, err))
		}
	}
	return errors.Join(append(errs, proxy.Check(ctx, cfg))...)
}

func runSchema(_ context.Context, c *call) error {
	if err := c.parse(c.flags("schema")); err != nil {
		return err
	}
	schema, err := config.Schema()
	if err != nil {
		return err
	}
	_, err = c.stdout.Write(schema)
	return err
}
