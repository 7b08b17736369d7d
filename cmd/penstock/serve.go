package main

import (
	"context"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// runGateway is `penstock run`: it serves until it is told to stop.
func runGateway(ctx context.Context, c *call) error {
	fs := c.flags("run")
	path := fs.String("config", defaultConfig, "the configuration `file`")
	delay := fs.Duration("shutdown-delay", 0, "how long to go on serving after SIGTERM, with /readyz down, so that load balancers notice")
	if err := c.parse(fs); err != nil {
		return err
	}
	src := source{*path, c.env}
	first, err := src.read()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(c.stderr, nil))
	defer captureStdLog(log)()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)

	log.Info("penstock starts", "version", versionText(), "config", *path, "pid", os.Getpid())
	limitMemory(log)
	i, err := startInstance(src, first, log)
	if err != nil {
		return err
	}
	reason := i.serve(ctx, signals)
	log.Info("asked to stop", "by", reason)
	return i.stopUnlessHurried(signals, *delay)
}

// serve reloads when it should, and returns when the gateway is to stop, with the reason.
func (i *instance) serve(ctx context.Context, signals <-chan os.Signal) (reason string) {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx).Error()
		case s := <-signals:
			if s != syscall.SIGHUP {
				return s.String()
			}
			_ = i.reload("SIGHUP") // reload has logged it; whoever sent the signal does not wait for an answer
		case <-i.changes():
			i.filesChanged()
		}
	}
}

// stopUnlessHurried stops gently; a second signal stops at once.
func (i *instance) stopUnlessHurried(signals <-chan os.Signal, delay time.Duration) error {
	atOnce, hurry := context.WithCancel(context.Background())
	defer hurry()
	stopped := make(chan error, 1)
	go func() { stopped <- i.stop(atOnce, delay) }()
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGHUP {
				i.log.Warn("stopping at once", "by", s.String())
				hurry()
			}
		case err := <-stopped:
			return err
		}
	}
}

// limitMemory tells the garbage collector of the container's limit. GOMEMLIMIT and AUTOMEMLIMIT, where set, win.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set()
	switch {
	case err != nil:
		log.Warn("the container's memory limit cannot be read; set GOMEMLIMIT", "error", err)
	case limit == math.MaxInt64 || limit == 0:
		log.Info("memory is not limited")
	default:
		log.Info("memory limit of the garbage collector", "bytes", limit)
	}
}
