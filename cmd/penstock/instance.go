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

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
)

// instance is a running gateway: the configuration in force, what handles requests, and what listens.
type instance struct {
	log       *slog.Logger
	source    source
	gateway   *proxy.Gateway
	listeners *listeners
	watcher   *watcher // nil where the system has none to give
	telemetry *telemetry
	reloads   reloads
	admin     atomic.Pointer[http.Handler] // with the token in force

	mu    sync.Mutex     // serialises reloads
	ended bool           // there are no more reloads
	inUse *config.Config // the configuration in force
	seen  *reading       // the last look at the files, good or bad
}

// startInstance serves the configuration that was read first from src.
func startInstance(src source, first *reading, stdout io.Writer, log *slog.Logger) (*instance, error) {
	t, err := newTelemetry(first.config, src.env, stdout, log)
	if err != nil {
		return nil, err
	}
	g, err := proxy.New(first.config, proxy.Options{Log: log, Version: versionText(), Sink: t.access, Tracer: t.tracer})
	if err != nil {
		t.close(log)
		return nil, usageError(src.path + ": " + err.Error())
	}
	i := &instance{log: log, source: src, gateway: g, telemetry: t, inUse: first.config, seen: first}
	i.reloads.done(first, nil)
	g.AddMetrics(&i.reloads)
	if err := t.push(g, src.env, log); err != nil {
		return nil, i.giveUp(err)
	}
	i.admit(first.config.Admin.Token)
	i.listeners = newListeners(log, g, http.HandlerFunc(i.serveAdmin))
	if i.watcher, err = newWatcher(log); err != nil {
		log.Warn("changes of files cannot be seen; SIGHUP still reloads", "error", err)
	}
	change, err := i.listeners.prepare(first.config)
	if err != nil {
		i.closeWatcher()
		return nil, i.giveUp(err)
	}
	i.mu.Lock() // a reload may come through the admin listener from here on
	change.commit()
	i.follow()
	i.mu.Unlock()
	preload(g)
	g.SetReady(true)
	log.Info("ready")
	return i, nil
}

// giveUp ends what was begun of an instance that can't start for err.
func (i *instance) giveUp(err error) error {
	err = errors.Join(err, i.gateway.Close(context.Background()))
	i.telemetry.close(i.log)
	return err
}

// preloadTime is how long readiness waits for what is preloaded: an instance that starts cold is better than one that does not start.
const preloadTime = 5 * time.Second

func preload(g *proxy.Gateway) {
	ctx, cancel := context.WithTimeout(context.Background(), preloadTime)
	defer cancel()
	g.Preload(ctx)
}

// reload reads the configuration again and puts it in force, whole or not at all.
func (i *instance) reload(why string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended {
		return errors.New("the gateway is stopping")
	}
	next, err := i.source.read()
	i.seen = next
	if err == nil {
		err = i.apply(next.config)
	}
	i.follow()
	i.reloads.done(next, err)
	if err != nil {
		i.complain(why, err)
		return err
	}
	i.log.Info("configuration reloaded", "by", why, "changed", difference(i.inUse, next.config))
	i.inUse = next.config
	i.rereadCertificates()
	return nil
}

// apply does everything that can fail before anything that shows.
func (i *instance) apply(cfg *config.Config) error {
	change, err := i.listeners.prepare(cfg)
	if err != nil {
		return err
	}
	said, unsaid, err := i.telemetry.prepare(cfg, i.source.env)
	if err != nil {
		change.abandon()
		return err
	}
	if err := i.gateway.Apply(cfg); err != nil {
		change.abandon()
		unsaid()
		return err
	}
	said()
	i.admit(cfg.Admin.Token)
	change.commit()
	return nil
}

// admit lets in who has the token, from the next request on, whatever connection it comes over.
func (i *instance) admit(token string) {
	h := i.gateway.Admin(token, func(context.Context) error { return i.reload("POST /reload") })
	i.admin.Store(&h)
}

func (i *instance) serveAdmin(w http.ResponseWriter, r *http.Request) {
	(*i.admin.Load()).ServeHTTP(w, r)
}

// complain logs why a configuration was refused, a line for each mistake.
func (i *instance) complain(why string, err error) {
	var mistakes config.Errors
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			i.log.Error("configuration", "mistake", m.Error())
		}
	} else {
		i.log.Error("configuration", "mistake", err.Error())
	}
	i.log.Error("configuration not reloaded, the old one stays in force", "by", why)
}

// filesChanged looks at the files after the watcher's word. Only another content counts.
func (i *instance) filesChanged() {
	i.mu.Lock()
	changed := i.seen.changed()
	i.mu.Unlock()
	if changed {
		_ = i.reload("a change of " + i.source.path) // reload has logged it, and there is nobody else to tell
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.follow()
	i.rereadCertificates()
}

func (i *instance) rereadCertificates() {
	for _, c := range i.listeners.certificates() {
		c.reread()
	}
}

// follow watches all files that what runs was read from.
func (i *instance) follow() {
	if i.watcher == nil {
		return
	}
	files := append([]string{i.source.path}, i.seen.files...)
	for _, c := range i.listeners.certificates() {
		files = append(files, c.paths()...)
	}
	i.watcher.follow(files)
}

// changes delivers the watcher's word; nil where there is no watcher.
func (i *instance) changes() <-chan struct{} {
	if i.watcher == nil {
		return nil
	}
	return i.watcher.changes
}

func (i *instance) closeWatcher() {
	if i.watcher != nil {
		i.watcher.close()
	}
}

// stop ends the instance: not ready, then no new connections, then what is in flight, for as long as drain allows or until
// atOnce ends.
func (i *instance) stop(atOnce context.Context, delay time.Duration) error {
	i.gateway.SetReady(false)
	select {
	case <-atOnce.Done():
	case <-time.After(delay):
	}
	drain := i.endReloads()
	i.closeWatcher()
	i.log.Info("stopping", "connections", i.listeners.gate.count(), "drain", drain)
	ctx, cancel := context.WithTimeout(atOnce, drain)
	defer cancel()
	i.listeners.stop(ctx)
	err := i.gateway.Close(ctx)
	i.listeners.stopAdmin(ctx)
	i.telemetry.close(i.log)
	if err != nil && ctx.Err() != nil {
		i.log.Warn("what did not end in time was cut off", "drain", drain)
		err = nil
	}
	i.log.Info("stopped")
	return err
}

// endReloads refuses all further reloads and tells how long requests in flight may take.
func (i *instance) endReloads() time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	return i.inUse.Server.Timeouts.Drain
}
