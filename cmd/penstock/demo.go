package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/penstock/penstock/cmd/penstock/demo"
)

// runDemo implements `penstock demo`.
func runDemo(ctx context.Context, c *call) error {
	fs := c.flags("demo")
	once := fs.Bool("once", false, "exit after the table")
	origins := fs.Bool("origins", false, "serve the sample origins alone, on 127.0.0.1:7001 (api), :7002 (orders) and :7003 (web)")
	if err := c.parse(fs); err != nil {
		return err
	}
	if *once && *origins {
		return usageError("penstock demo takes --once or --origins, not both")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *origins {
		return demo.Origins(ctx, c.stdout)
	}
	return demo.Run(ctx, demo.Options{Out: c.stdout, Once: *once, Version: versionText()})
}
