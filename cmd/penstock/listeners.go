package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/penstock/penstock/config"
)

// listeners are all addresses that the gateway listens on, and the servers behind them.
type listeners struct {
	log    *slog.Logger
	public http.Handler
	admin  http.Handler
	gate   *gate
	drain  time.Duration // of the configuration in force

	ctx     context.Context // ends when a server that has been replaced may not go on either
	cut     context.CancelFunc
	retired sync.WaitGroup

	mu   sync.Mutex
	open map[string]*endpoint // by key
}

// endpoint is an address with the server that serves it now.
type endpoint struct {
	socket *socket
	server *server
}

func newListeners(log *slog.Logger, public, admin http.Handler) *listeners {
	l := &listeners{log: log, public: public, admin: admin, gate: &gate{}, open: map[string]*endpoint{}}
	l.ctx, l.cut = context.WithCancel(context.Background())
	return l
}

// wanted lists what a configuration asks for by key: the address, numbered where one is named twice (as port 0 may be).
func wanted(cfg *config.Config) map[string]settings {
	out := map[string]settings{}
	for _, l := range cfg.Server.Listen {
		out[freeKey(out, l.Address)] = settings{listener: l, headerBytes: cfg.Server.Limits.HeaderBytes, timeouts: cfg.Server.Timeouts}
	}
	if cfg.Admin.Address != "" {
		out["admin "+cfg.Admin.Address] = settings{
			listener:    config.Listener{Address: cfg.Admin.Address},
			headerBytes: http.DefaultMaxHeaderBytes,
			timeouts:    config.ServerTimeouts{ReadHeader: 5 * time.Second, Read: time.Minute, Idle: 2 * time.Minute},
			admin:       true,
		}
	}
	return out
}

func freeKey(taken map[string]settings, address string) string {
	key := address
	for i := 2; ; i++ {
		if _, ok := taken[key]; !ok {
			return key
		}
		key = fmt.Sprintf("%s #%d", address, i)
	}
}

// change is a prepared change of the listeners: all that can fail has been done. It is either committed or abandoned.
type change struct {
	listeners *listeners
	cfg       *config.Config
	want      map[string]settings
	bound     map[string]*socket // new addresses
	servers   map[string]*server // for new addresses and new settings
}

// prepare binds new addresses and reads the certificates of new settings. On an error nothing has changed.
func (l *listeners) prepare(cfg *config.Config) (*change, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &change{listeners: l, cfg: cfg, want: wanted(cfg), bound: map[string]*socket{}, servers: map[string]*server{}}
	for key, set := range c.want {
		if err := c.prepareOne(key, set); err != nil {
			c.abandon()
			return nil, err
		}
	}
	return c, nil
}

func (c *change) prepareOne(key string, set settings) error {
	l := c.listeners
	old := l.open[key]
	if old != nil && old.server.settings.equal(set) {
		return nil
	}
	handler, gate := l.public, l.gate
	if set.admin {
		handler, gate = l.admin, nil // operators get in when clients have taken every place
	}
	srv, err := newServer(set, handler, l.log)
	if err != nil {
		return fmt.Errorf("listener %s: %w", set.listener.Address, err)
	}
	if old == nil {
		if c.bound[key], err = bind(set.listener.Address, gate, l.log); err != nil {
			delete(c.bound, key)
			return err
		}
	}
	c.servers[key] = srv
	return nil
}

// abandon undoes prepare.
func (c *change) abandon() {
	for _, s := range c.bound {
		s.close()
	}
}

// commit starts the new servers, then lets the old ones end in their own time.
func (c *change) commit() {
	l := c.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drain = c.cfg.Server.Timeouts.Drain
	l.gate.resize(c.cfg.Server.Limits.Connections)
	for key, srv := range c.servers {
		l.begin(key, srv, c.bound[key])
	}
	for key, e := range l.open {
		if _, ok := c.want[key]; !ok {
			delete(l.open, key)
			l.remove(e)
		}
	}
}

// begin puts a server in place, on a new socket or on the one that is there.
func (l *listeners) begin(key string, srv *server, bound *socket) {
	e := l.open[key]
	if e == nil {
		e = &endpoint{socket: bound}
		l.open[key] = e
	}
	old := e.server
	e.server = srv
	srv.start(e.socket, l.log)
	l.log.Info("listening", "address", e.socket.listener.Addr().String(), "admin", srv.settings.admin, "tls", srv.certs != nil, "h2c", srv.settings.listener.H2C)
	if old != nil {
		old.tap.Close() // from here on whoever connects meets the new settings
		l.retired.Go(func() { old.retire(l.ctx) })
	}
}

// remove closes an address and gives its connections the time that a stopping gateway would.
func (l *listeners) remove(e *endpoint) {
	l.log.Info("no longer listening", "address", e.socket.listener.Addr().String())
	drain := l.drain
	l.retired.Go(func() {
		e.socket.close()
		ctx, cancel := context.WithTimeout(l.ctx, drain)
		defer cancel()
		e.server.retire(ctx)
	})
}

// stop closes the public addresses and returns when all that was in flight has ended, or ctx has. The admin address still
// answers, so that it can be seen what goes on.
func (l *listeners) stop(ctx context.Context) {
	defer context.AfterFunc(ctx, l.cut)()
	l.stopThose(ctx, false)
	l.retired.Wait()
}

// stopAdmin closes the admin address too, and all that is left.
func (l *listeners) stopAdmin(ctx context.Context) {
	l.stopThose(ctx, true)
	l.cut()
	l.retired.Wait()
}

func (l *listeners) stopThose(ctx context.Context, admin bool) {
	l.mu.Lock()
	var ending sync.WaitGroup
	for key, e := range l.open {
		if e.server.settings.admin != admin {
			continue
		}
		delete(l.open, key)
		ending.Go(func() {
			e.socket.close()
			e.server.retire(ctx)
		})
	}
	l.mu.Unlock()
	ending.Wait()
}

// certificates lists those of all listeners.
func (l *listeners) certificates() []*certificates {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*certificates
	for _, e := range l.open {
		if e.server.certs != nil {
			out = append(out, e.server.certs)
		}
	}
	return out
}
