package shared

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

// ErrOpen is returned at once by every call while Redis is skipped because it does not answer.
var ErrOpen = errors.New("shared: Redis is skipped until it answers again")

const (
	defaultPrefix    = "penstock"
	defaultTimeout   = 25 * time.Millisecond
	defaultMaxObject = 1 << 20

	// A connection takes several round trips, and more with TLS and credentials.
	minDial     = 250 * time.Millisecond
	minSocket   = 500 * time.Millisecond // the default of go-redis; contexts limit the calls
	minPool     = 16
	poolPerCore = 8
	idleTime    = 5 * time.Minute
	maxPrefix   = 64
)

// Client makes all calls to Redis. It limits their duration, skips Redis while it is sick, and
// names the keys.
type Client struct {
	rdb       redis.UniversalClient
	where     *target // for connections outside the pool that block
	prefix    string
	timeout   time.Duration
	maxObject int64
	compress  bool
	maxCutOff time.Duration
	instance  string
	server    string
	now       func() time.Time
	log       *slog.Logger
	breaker   breaker
	hints     hints
	scripts   scripts
	gather    *gather // nil for a cluster

	stop    context.Context // cancelled by Close
	cancel  context.CancelFunc
	watched sync.WaitGroup
	closing sync.Once
	closed  error
}

// Dial returns a client. The error is always one of the configuration. If Redis can't be reached,
// Health reports it later.
func Dial(c Config) (*Client, error) {
	where, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(c.Prefix, "{} \r\n") || len(c.Prefix) > maxPrefix {
		return nil, fmt.Errorf("shared: prefix %q: use at most %d bytes without braces or white space (braces select a cluster's hash slot)",
			c.Prefix, maxPrefix)
	}
	client := &Client{
		where:     where,
		prefix:    cmp.Or(c.Prefix, defaultPrefix),
		timeout:   cmp.Or(c.Timeout, defaultTimeout),
		maxObject: cmp.Or(c.MaxObject, defaultMaxObject),
		compress:  c.Compress,
		maxCutOff: c.MaxCutOff,
		instance:  c.Instance,
		server:    where.String(),
		now:       c.Now,
		log:       c.Log,
		scripts:   newScripts(),
	}
	if client.now == nil {
		client.now = time.Now
	}
	if client.log == nil {
		client.log = slog.New(slog.DiscardHandler)
	}
	if client.instance == "" {
		client.instance = instanceName()
	}
	redis.SetLogger(silent{})
	client.rdb = where.open(options(client.timeout))
	if where.kind != cluster {
		client.gather = &gather{rdb: client.rdb, timeout: client.timeout}
		client.gather.start()
	}
	client.breaker.init(client.now())
	client.stop, client.cancel = context.WithCancel(context.Background())
	client.watched.Go(client.watch)
	return client, nil
}

// silent keeps go-redis from writing to stderr. No information is lost: go-redis also returns its
// problems as errors, and Health has the last one.
type silent struct{}

// Printf writes nothing.
func (silent) Printf(context.Context, string, ...any) {}

// options returns the options for all kinds of servers. With the defaults of go-redis a dead Redis
// could cost tens of seconds.
func options(timeout time.Duration) *redis.UniversalOptions {
	pool := max(minPool, poolPerCore*runtime.GOMAXPROCS(0))
	return &redis.UniversalOptions{
		ContextTimeoutEnabled: true, // without it contexts do not limit reads and writes
		MaxRetries:            -1,
		DialTimeout:           max(4*timeout, minDial),
		DialerRetries:         1,
		ReadTimeout:           max(4*timeout, minSocket),
		WriteTimeout:          max(4*timeout, minSocket),
		PoolSize:              pool,
		MaxActiveConns:        pool,
		PoolTimeout:           timeout,
		PipelinePoolSize:      -1, // pipelines use the same connections as single commands
		ConnMaxIdleTime:       idleTime,
		DisableIdentity:       true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
}

// instanceName returns a name that no other instance has.
func instanceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "penstock"
	}
	var unique [4]byte
	_, _ = rand.Read(unique[:]) // never fails
	return fmt.Sprintf("%s-%x", host, unique)
}

// Instance returns the name of this instance among those that share the Redis.
func (c *Client) Instance() string { return c.instance }

// Close ends the probing and closes all connections. Later calls return store.ErrClosed.
func (c *Client) Close() error {
	c.closing.Do(func() {
		c.cancel()
		c.watched.Wait()
		c.closed = c.rdb.Close()
		if c.gather != nil {
			c.gather.end() // returns soon, because pending round trips have lost their connections
		}
	})
	return c.closed
}

// call runs fn with a context that ends after the timeout, or returns ErrOpen if Redis is skipped.
// The error of fn tells the breaker how Redis is: an error counts as a failure unless isAnswer
// reports true or the caller's context has ended. fn returns its other results in variables.
func (c *Client) call(ctx context.Context, fn func(context.Context) error) error {
	return c.callFor(ctx, c.timeout, fn)
}

// callFor is call with another limit, for calls that take longer. The breaker counts their failures
// too.
func (c *Client) callFor(ctx context.Context, bound time.Duration, fn func(context.Context) error) error {
	if c.breaker.skips() {
		if c.stop.Err() != nil {
			return store.ErrClosed
		}
		return ErrOpen
	}
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	err := fn(bounded)
	if c.stop.Err() != nil {
		return store.ErrClosed
	}
	switch {
	case err == nil || isAnswer(err) || redis.HasErrorPrefix(err, "TRYAGAIN"): // one slot of a Cluster is on the move
		c.breaker.success()
	// Otherwise the caller has gone, which says nothing about Redis.
	case ctx.Err() == nil || errors.Is(context.Cause(ctx), store.ErrBudget):
		c.report(err)
	}
	return err
}

// report counts a failure, and logs it if it opens the breaker.
func (c *Client) report(err error) {
	err = nameNoFiles(err)
	if c.breaker.failure(err, c.now()) {
		c.log.Warn("calls skip Redis until it answers again", "server", c.server, "error", err)
	}
}

// nameNoFiles says it in err if the gateway, not Redis, is the cause: no file was left for a
// connection.
func nameNoFiles(err error) error {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return fmt.Errorf("the gateway has no open files left (ulimit -n): %w", err)
	}
	return err
}

// isAnswer reports whether an error is compatible with a healthy Redis.
func isAnswer(err error) bool {
	return errors.Is(err, redis.Nil) || errors.Is(err, redis.ErrNoScript) || redis.HasErrorPrefix(err, "NOSCRIPT") ||
		redis.HasErrorPrefix(err, "WRONGTYPE") || isFinding(err)
}

// isFinding reports whether an error is a result of this package.
func isFinding(err error) bool {
	for _, finding := range [...]error{
		store.ErrMiss, store.ErrDamaged, store.ErrOtherKey, store.ErrFenced, store.ErrTooLarge, errGone,
	} {
		if errors.Is(err, finding) {
			return true
		}
	}
	return false
}

// objectKey returns the key of an object. A cluster hashes the part in braces, so all keys that
// consist of this one and a suffix are in one slot.
func (c *Client) objectKey(k cachepolicy.Key) string {
	b := make([]byte, 0, len(c.prefix)+3+2*len(k.Hash))
	b = append(b, c.prefix...)
	b = append(b, ':', '{')
	b = hex.AppendEncode(b, k.Hash[:])
	b = append(b, '}')
	return string(b)
}

// fleetKey returns a key that all instances share and that belongs to no object. All fleet keys are
// in one slot.
func (c *Client) fleetKey(name string) string { return c.prefix + ":{fleet}:" + name }
