package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/penstock/penstock/proxy/observe"
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
	folder := observe.Fold(slog.NewTextHandler(c.stderr, nil))
	defer folder.Close()
	log := slog.New(folder)
	defer captureStdLog(log)()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, reopenSignal, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)

	log.Info("penstock starts", "version", versionText(), "config", *path, "pid", os.Getpid())
	limitMemory(log)
	defer boundGarbage(c.env)()
	i, err := startInstance(src, first, c.stdout, log)
	if err != nil {
		return err
	}
	i.gateway.AddMetrics(folder)
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
			switch s {
			case syscall.SIGHUP:
			case reopenSignal:
				i.reopen()
				continue
			default:
				return s.String()
			}
			_ = i.reload("SIGHUP") // reload has logged it; whoever sent the signal does not wait for an answer
		case <-i.changes():
			i.filesChanged()
		}
	}
}

// reopen opens the access log's file again.
func (i *instance) reopen() {
	if err := i.telemetry.access.Reopen(); err != nil {
		i.log.Error("the access log goes on where it was", "error", err)
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
			if s != syscall.SIGHUP && s != reopenSignal {
				i.log.Warn("stopping at once", "by", s.String())
				hurry()
			}
		case err := <-stopped:
			return err
		}
	}
}
