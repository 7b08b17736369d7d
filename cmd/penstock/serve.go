package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/penstock/penstock/proxy/observe"
)

// runGateway implements `penstock run`: it serves until a signal or ctx stops it.
func runGateway(ctx context.Context, c *call) error {
	fs := c.flags("run")
	path := fs.String("config", defaultConfig, "the configuration `file`")
	delay := fs.Duration("shutdown-delay", 0, "how long to keep serving after SIGTERM while /readyz reports not ready, so that load balancers notice")
	if err := c.parse(fs); err != nil {
		return err
	}
	src := source{path: *path, env: c.env}
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
	first.warn(log)
	limitMemory(log)
	checkMemory(log, first.config.Cache.Memory.Size, memlimit.FromCgroup)
	defer boundGarbage(c.env)()
	i, err := startInstance(src, first, c.stdout, log)
	if err != nil {
		return err
	}
	i.gateway.AddMetrics(folder)
	notifySystemd(c.env, notifyReady, log)
	reason := i.serve(ctx, signals)
	log.Info("asked to stop", "by", reason)
	notifySystemd(c.env, notifyStopping, log)
	return i.stopUnlessHurried(signals, *delay)
}

// serve handles reloads until the gateway must stop, and returns the reason.
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
			_ = i.reload("SIGHUP") // reload logs the error; the sender of a signal gets no answer
		case <-i.watcher.changes:
			i.filesChanged()
		}
	}
}

// reopen closes and reopens the access log file.
func (i *instance) reopen() {
	if err := i.telemetry.Access().Reopen(); err != nil {
		i.log.Error("the access log cannot be reopened; the old file stays in use", "error", err)
	}
}

// stopUnlessHurried stops the gateway gracefully. A second signal stops it at once.
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
