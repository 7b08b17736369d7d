package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/cmd/penstock/listen"
	"github.com/penstock/penstock/cmd/penstock/telemetry"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
)

// instance is a running gateway: the configuration in force, the request handlers and the
// listeners.
type instance struct {
	log       *slog.Logger
	source    source
	gateway   *proxy.Gateway
	listeners *listen.Listeners
	watcher   *watcher
	telemetry *telemetry.Telemetry
	reloads   reloads
	admin     atomic.Pointer[http.Handler] // checks the token in force

	mu    sync.Mutex     // serialises reloads
	ended bool           // true once no more reloads are accepted
	inUse *config.Config // the configuration in force
	seen  *reading       // the last reading of the files, valid or not
}

// startInstance starts a gateway with the configuration that was first read from src.
func startInstance(src source, first *reading, stdout io.Writer, log *slog.Logger) (*instance, error) {
	t, err := telemetry.New(first.config.Telemetry, telemetry.Process{Env: src.env, Version: versionText(), Stdout: stdout, Log: log})
	if err != nil {
		return nil, err
	}
	g, err := proxy.New(first.config, proxy.Options{Log: log, Version: versionText(), Sink: t.Access(), Tracer: t.Tracer()})
	if err != nil {
		t.Close()
		return nil, first.place(err)
	}
	i := &instance{log: log, source: src, gateway: g, telemetry: t, inUse: first.config, seen: first}
	i.reloads.done(first, nil)
	g.AddMetrics(&i.reloads)
	if err := t.Push(g); err != nil {
		return nil, i.giveUp(err)
	}
	i.admit(first.config.Admin.Token)
	i.listeners = listen.New(log, g, http.HandlerFunc(i.serveAdmin))
	g.AddMetrics(accepts{&i.listeners.AcceptFailures})
	i.watcher = newWatcher(log, lookEvery)
	change, err := i.listeners.Prepare(first.config)
	if err != nil {
		i.watcher.close()
		return nil, i.giveUp(first.explained(err))
	}
	i.mu.Lock() // from here on the admin listener may start a reload
	change.Commit()
	i.follow()
	i.mu.Unlock()
	preload(g)
	g.SetReady(true)
	log.Info("ready")
	return i, nil
}

// giveUp releases the parts of an instance that cannot start because of err.
func (i *instance) giveUp(err error) error {
	err = errors.Join(err, i.gateway.Close(context.Background()))
	i.telemetry.Close()
	return err
}

// preloadTime bounds how long readiness waits for preloading: an instance that starts cold is
// better than one that does not start.
const preloadTime = 5 * time.Second

func preload(g *proxy.Gateway) {
	ctx, cancel := context.WithTimeout(context.Background(), preloadTime)
	defer cancel()
	g.Preload(ctx)
}

// reload reads the configuration again and applies it as a whole or not at all.
func (i *instance) reload(why string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended {
		return errors.New("the gateway is stopping")
	}
	next, err := i.source.read()
	i.seen = next
	if err == nil {
		if err = i.apply(next.config); err != nil {
			err = next.explained(err)
		}
	}
	i.follow()
	i.reloads.done(next, err)
	if err != nil {
		i.complain(why, err)
		return err
	}
	next.warn(i.log)
	i.log.Info("configuration reloaded", "by", why, "changed", difference(i.inUse, next.config))
	i.inUse = next.config
	i.rereadCertificates()
	return nil
}

// apply does every step that can fail before the first step that takes effect.
func (i *instance) apply(cfg *config.Config) error {
	change, err := i.listeners.Prepare(cfg)
	if err != nil {
		return err
	}
	said, unsaid, err := i.telemetry.Prepare(cfg.Telemetry)
	if err != nil {
		change.Abandon()
		return err
	}
	if err := i.gateway.Apply(cfg); err != nil {
		change.Abandon()
		unsaid()
		return err
	}
	said()
	i.admit(cfg.Admin.Token)
	change.Commit()
	return nil
}

// admit makes the admin API accept this token from the next request on, also on open connections.
func (i *instance) admit(token string) {
	h := i.gateway.Admin(token, func(context.Context) error { return i.reload("POST /reload") })
	i.admin.Store(&h)
}

func (i *instance) serveAdmin(w http.ResponseWriter, r *http.Request) {
	(*i.admin.Load()).ServeHTTP(w, r)
}

// warn logs the settings that have no effect.
func (r *reading) warn(log *slog.Logger) {
	for _, line := range r.warnings.Lines() {
		log.Warn("configuration", "warning", line)
	}
}

// complain logs why a configuration was refused, with a line for each mistake.
func (i *instance) complain(why string, err error) {
	var mistakes config.Errors
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			i.log.Error("configuration", "mistake", m.Error())
		}
	} else {
		i.log.Error("configuration", "mistake", err.Error())
	}
	i.log.Error("configuration not reloaded; the old one stays in force", "by", why)
}

// filesChanged reloads the configuration if the content of its files changed. It is called on each
// report of the watcher.
func (i *instance) filesChanged() {
	i.mu.Lock()
	changed := i.seen.changed()
	i.mu.Unlock()
	if changed {
		_ = i.reload("a change of " + i.source.path) // reload has logged the error
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.follow()
	i.rereadCertificates()
}

func (i *instance) rereadCertificates() {
	for _, c := range i.listeners.Certificates() {
		c.Reread()
	}
}

// follow makes the watcher watch all files that the running instance was read from.
func (i *instance) follow() {
	files := append([]string{i.source.path}, i.seen.files...)
	for _, c := range i.listeners.Certificates() {
		files = append(files, c.Paths()...)
	}
	i.watcher.follow(files)
}

// stop ends the instance. It reports not ready for the time of delay, then accepts no new
// connections, then waits for the requests in flight until the drain timeout expires or atOnce
// ends.
func (i *instance) stop(atOnce context.Context, delay time.Duration) error {
	i.gateway.SetReady(false)
	select {
	case <-atOnce.Done():
	case <-time.After(delay):
	}
	drain := i.endReloads()
	i.watcher.close()
	i.log.Info("stopping", "connections", i.listeners.Connections(), "drain", drain)
	ctx, cancel := context.WithTimeout(atOnce, drain)
	defer cancel()
	i.gateway.LeaveUpgraded()
	i.listeners.Stop(ctx)
	err := i.gateway.Close(ctx)
	i.listeners.StopAdmin(ctx)
	i.telemetry.Close()
	if err != nil && ctx.Err() != nil {
		i.log.Warn("requests that did not end in time were cut off", "drain", drain)
		err = nil
	}
	i.log.Info("stopped")
	return err
}

// endReloads refuses all further reloads and returns the drain timeout.
func (i *instance) endReloads() time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	return i.inUse.Server.Timeouts.Drain
}
