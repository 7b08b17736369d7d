package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock/penstock/cmd/penstock/listen"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
)

// runCheck checks each file as far as a gateway does before it listens: a gateway starts with every
// file that passes. A file with mistakes does not stop the check of the others; the exit code is
// the worst of all files.
func runCheck(ctx context.Context, c *call) error {
	fs := c.flags("check")
	if err := c.parseSome(fs, "FILE"); err != nil {
		return err
	}
	if fs.NArg() == 1 {
		return checkOne(ctx, c, fs.Arg(0))
	}
	worst := exitDone
	for _, name := range fs.Args() {
		worst = max(worst, report(c.stderr, checkOne(ctx, c, name)))
	}
	if worst != exitDone {
		return reported(worst)
	}
	return nil
}

// checkOne checks one file; "-" is standard input.
func checkOne(ctx context.Context, c *call, name string) error {
	src := source{path: name, env: c.env}
	if name == "-" {
		src.stdin = c.stdin
	}
	r, err := src.read()
	if err != nil {
		return err
	}
	if err := compiles(ctx, r.config); err != nil {
		return r.place(err)
	}
	for _, line := range r.warnings.Lines() {
		fmt.Fprintln(c.stderr, line)
	}
	_, err = fmt.Fprintf(c.stdout, "%s: ok, %d routes to %d upstreams\n", r.name, len(r.config.Routes), len(r.config.Upstreams))
	return err
}

// compiles reads the certificates and builds everything else that can be built without becoming a
// gateway. The error joins the mistakes of all parts.
func compiles(ctx context.Context, cfg *config.Config) error {
	return errors.Join(listenerFiles(cfg), proxy.Check(ctx, cfg))
}

// listenerFiles reads the certificates of all listeners. Each line of the error begins with the
// path of the setting that names the file.
func listenerFiles(cfg *config.Config) error {
	var errs []error
	for i, l := range cfg.Server.Listen {
		if l.TLS == nil {
			continue
		}
		for j, f := range l.TLS.Certificates {
			if key, err := pairProblem(f); err != nil {
				errs = append(errs, fmt.Errorf("server.listen[%d].tls.certificates[%d]%s: %w", i, j, key, err))
			}
		}
	}
	return errors.Join(errs...)
}

// pairProblem reports why a certificate and its key cannot be used. key is the setting at fault:
// ".cert", ".key", or "" if the two do not match.
func pairProblem(f config.Certificate) (key string, err error) {
	if _, err := readFile(f.Cert); err != nil {
		return ".cert", err
	}
	if _, err := readFile(f.Key); err != nil {
		return ".key", err
	}
	_, err = listen.ReadCertificates([]config.Certificate{f})
	return "", err
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
