package listen

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/penstock/penstock/config"
)

// Listeners holds all addresses on which the gateway listens, with their servers.
type Listeners struct {
	AcceptFailures AcceptFailures // of all addresses

	log    *slog.Logger
	public http.Handler
	admin  http.Handler
	gate   *gate
	drain  time.Duration // from the configuration in force

	ctx     context.Context // ends when replaced servers must stop too
	cut     context.CancelFunc
	retired sync.WaitGroup

	mu   sync.Mutex
	open map[string]*endpoint // by key
}

// endpoint is an address with its current server.
type endpoint struct {
	socket *socket
	server *server
}

// New returns Listeners without addresses. public answers clients, and admin answers operators.
func New(log *slog.Logger, public, admin http.Handler) *Listeners {
	l := &Listeners{log: log, public: public, admin: admin, gate: &gate{}, open: map[string]*endpoint{}}
	l.ctx, l.cut = context.WithCancel(context.Background())
	return l
}

// wanted returns the settings for each address of a configuration, by key. The key is the address,
// with a number if the address occurs twice (as port 0 may).
func wanted(cfg *config.Config) map[string]settings {
	out := map[string]settings{}
	for _, l := range cfg.Server.Listen {
		out[freeKey(out, l.Address)] = settings{listener: l, headerBytes: cfg.Server.Limits.HeaderBytes, timeouts: cfg.Server.Timeouts}
	}
	if cfg.Admin.Address != "" {
		out["admin "+cfg.Admin.Address] = settings{
			listener:    config.Listener{Address: cfg.Admin.Address},
			headerBytes: http.DefaultMaxHeaderBytes,
			timeouts:    config.ServerTimeouts{ReadHeader: 5 * time.Second, Read: time.Minute, WriteStall: time.Minute, Idle: 2 * time.Minute},
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

// Change is a prepared change of the listeners. Every step that can fail has been done. It must be
// committed or abandoned.
type Change struct {
	listeners *Listeners
	cfg       *config.Config
	want      map[string]settings
	bound     map[string]*socket // for new addresses
	servers   map[string]*server // for new addresses and changed settings
}

// Prepare binds new addresses and reads the certificates of changed settings. After an error,
// nothing has changed.
func (l *Listeners) Prepare(cfg *config.Config) (*Change, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &Change{listeners: l, cfg: cfg, want: wanted(cfg), bound: map[string]*socket{}, servers: map[string]*server{}}
	for key, set := range c.want {
		if err := c.prepareOne(key, set); err != nil {
			c.Abandon()
			return nil, err
		}
	}
	return c, nil
}

func (c *Change) prepareOne(key string, set settings) error {
	l := c.listeners
	old := l.open[key]
	if old != nil && old.server.settings.equal(set) {
		return nil
	}
	handler, gate := l.public, l.gate
	if set.admin {
		handler, gate = l.admin, nil // operators must get in even if clients use all connections
	}
	srv, err := newServer(set, handler, l.log)
	if err != nil {
		return fmt.Errorf("listener %s: %w", set.listener.Address, err)
	}
	if old == nil {
		if c.bound[key], err = bind(set.listener.Address, gate, &l.AcceptFailures, l.log); err != nil {
			delete(c.bound, key)
			return err
		}
	}
	c.servers[key] = srv
	return nil
}

// Abandon undoes Prepare.
func (c *Change) Abandon() {
	for _, s := range c.bound {
		s.close()
	}
}

// Commit starts the new servers and lets the old ones finish their requests.
func (c *Change) Commit() {
	l := c.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drain = c.cfg.Server.Timeouts.Drain
	l.gate.resize(boundConnections(l.log, c.cfg, openFiles()))
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

// begin starts a server on a new socket, or on the existing one in place of the old server.
func (l *Listeners) begin(key string, srv *server, bound *socket) {
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
		old.tap.Close() // new connections get the new settings from here on
		l.retired.Go(func() { old.retire(l.ctx) })
	}
}

// remove closes an address. Its connections have the drain timeout to finish.
func (l *Listeners) remove(e *endpoint) {
	l.log.Info("no longer listening", "address", e.socket.listener.Addr().String())
	drain := l.drain
	l.retired.Go(func() {
		e.socket.close()
		ctx, cancel := context.WithTimeout(l.ctx, drain)
		defer cancel()
		e.server.retire(ctx)
	})
}

// Stop closes the public addresses. It returns when all requests in flight have ended, or when ctx
// ends. The admin address stays open, so that operators can watch the shutdown.
func (l *Listeners) Stop(ctx context.Context) {
	defer context.AfterFunc(ctx, l.cut)()
	l.stopThose(ctx, false)
	l.retired.Wait()
}

// StopAdmin closes the admin address and everything that is still running.
func (l *Listeners) StopAdmin(ctx context.Context) {
	l.stopThose(ctx, true)
	l.cut()
	l.retired.Wait()
}

func (l *Listeners) stopThose(ctx context.Context, admin bool) {
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

// Certificates returns the certificates of all listeners.
func (l *Listeners) Certificates() []*Certificates {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*Certificates
	for _, e := range l.open {
		if e.server.certs != nil {
			out = append(out, e.server.certs)
		}
	}
	return out
}

// Connections returns the number of open client connections.
func (l *Listeners) Connections() int { return l.gate.count() }
