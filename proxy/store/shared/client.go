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
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

// ErrOpen is returned, at once, by every call while Redis is skipped because it did not answer.
var ErrOpen = errors.New("shared: Redis is skipped until it answers again")

const (
	defaultPrefix    = "penstock"
	defaultTimeout   = 25 * time.Millisecond
	defaultMaxObject = 1 << 20

	minDial     = 250 * time.Millisecond // a connection costs several round trips, with TLS and credentials more of them
	minSocket   = 500 * time.Millisecond // what go-redis does by itself; calls are bound by their contexts
	minPool     = 16
	poolPerCore = 8
	idleTime    = 5 * time.Minute
	maxPrefix   = 64
)

// Client is the one way to Redis: it bounds every call, skips Redis while that is sick, and names the keys.
type Client struct {
	rdb       redis.UniversalClient
	where     *target // for connections that wait, beside the pool
	prefix    string
	timeout   time.Duration
	maxObject int64
	compress  bool
	instance  string
	server    string
	now       func() time.Time
	log       *slog.Logger
	breaker   breaker
	hints     hints
	scripts   scripts
	gather    *gather // nil in a cluster

	stop    context.Context // ended by Close
	cancel  context.CancelFunc
	watched sync.WaitGroup
	closing sync.Once
	closed  error
}

// Dial makes the client. An error is one of the configuration alone: whether there is a Redis at the URL shows later, in Health.
func Dial(c Config) (*Client, error) {
	where, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(c.Prefix, "{} \r\n") || len(c.Prefix) > maxPrefix {
		return nil, fmt.Errorf("shared: prefix %q: it must be at most %d bytes without braces or white space, since braces mark what a cluster hashes",
			c.Prefix, maxPrefix)
	}
	client := &Client{
		where:     where,
		prefix:    cmp.Or(c.Prefix, defaultPrefix),
		timeout:   cmp.Or(c.Timeout, defaultTimeout),
		maxObject: cmp.Or(c.MaxObject, defaultMaxObject),
		compress:  c.Compress,
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

// silent keeps go-redis from writing to stderr by itself. Nothing is lost: what it has to say comes back as errors too, and Health has the last.
type silent struct{}

// Printf writes nothing.
func (silent) Printf(context.Context, string, ...any) {}

// options are those of all kinds of servers. The defaults of go-redis would let a dead Redis cost tens of seconds.
func options(timeout time.Duration) *redis.UniversalOptions {
	pool := max(minPool, poolPerCore*runtime.GOMAXPROCS(0))
	return &redis.UniversalOptions{
		ContextTimeoutEnabled: true, // without it contexts have no say in reads and writes
		MaxRetries:            -1,
		DialTimeout:           max(4*timeout, minDial),
		DialerRetries:         1,
		ReadTimeout:           max(4*timeout, minSocket),
		WriteTimeout:          max(4*timeout, minSocket),
		PoolSize:              pool,
		MaxActiveConns:        pool,
		PoolTimeout:           timeout,
		PipelinePoolSize:      -1, // pipelines are as common as single commands here, and use the same connections
		ConnMaxIdleTime:       idleTime,
		DisableIdentity:       true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
}

// instanceName is one that no other instance has.
func instanceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "penstock"
	}
	var unique [4]byte
	_, _ = rand.Read(unique[:]) // never fails
	return fmt.Sprintf("%s-%x", host, unique)
}

// Instance is the name of this instance among those that share the Redis.
func (c *Client) Instance() string { return c.instance }

// Close ends the probing and all connections. Calls return store.ErrClosed from then on.
func (c *Client) Close() error {
	c.closing.Do(func() {
		c.cancel()
		c.watched.Wait()
		c.closed = c.rdb.Close()
		if c.gather != nil {
			c.gather.end() // soon: what is under way has no connection any more
		}
	})
	return c.closed
}

// call does what fn does with Redis, within the timeout, or returns ErrOpen when Redis is skipped. What fn returns tells the breaker how Redis is: an
// error counts unless it is an answer (see isAnswer) or the caller's own end. fn keeps other findings in variables of its own.
func (c *Client) call(ctx context.Context, fn func(context.Context) error) error {
	return c.callFor(ctx, c.timeout, fn)
}

// callFor is call with another bound, for what waits in Redis on purpose. The breaker counts its failures all the same.
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
	case err == nil || isAnswer(err):
		c.breaker.success()
	case ctx.Err() == nil || errors.Is(context.Cause(ctx), store.ErrBudget): // else the caller has gone: that says nothing of Redis
		c.report(err)
	}
	return err
}

// report counts a failure, and says so when it is the one that opens the breaker.
func (c *Client) report(err error) {
	if c.breaker.failure(err, c.now()) {
		c.log.Warn("Redis is skipped until it answers again", "server", c.server, "error", err)
	}
}

// isAnswer reports whether an error says nothing bad of Redis itself.
func isAnswer(err error) bool {
	return errors.Is(err, redis.Nil) || errors.Is(err, redis.ErrNoScript) || redis.HasErrorPrefix(err, "NOSCRIPT") ||
		redis.HasErrorPrefix(err, "WRONGTYPE") || isFinding(err)
}

// isFinding reports whether an error is one of this package's results.
func isFinding(err error) bool {
	for _, finding := range [...]error{
		store.ErrMiss, store.ErrDamaged, store.ErrOtherKey, store.ErrFenced, store.ErrVariants, store.ErrTooLarge, errGone,
	} {
		if errors.Is(err, finding) {
			return true
		}
	}
	return false
}

// objectKey is the name of an object's key. What is in the braces is hashed by a cluster, so all that is named by it and a suffix is in one slot.
func (c *Client) objectKey(k cachepolicy.Key) string {
	b := make([]byte, 0, len(c.prefix)+3+2*len(k.Hash))
	b = append(b, c.prefix...)
	b = append(b, ':', '{')
	b = hex.AppendEncode(b, k.Hash[:])
	b = append(b, '}')
	return string(b)
}

// fleetKey is the name of a key that all instances share and that belongs to no object. All of these are in one slot.
func (c *Client) fleetKey(name string) string { return c.prefix + ":{fleet}:" + name }
