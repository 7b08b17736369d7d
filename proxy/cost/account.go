package cost

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

const (
	// Interval is the interval at which counted usage is added to the kept account.
	Interval = 2 * time.Second
	// askEvery is the interval at which an account with nothing to add asks for the usage of other
	// instances.
	askEvery = 10 * time.Second
	// keepTime bounds one call of the Keeper.
	keepTime = 2 * time.Second
)

// Config configures an Account.
type Config struct {
	Read     func() observe.Reading // returns all that the gateway has counted since it started
	Keeper   Keeper
	Writer   string // unique among all accounts that ever ran
	Settings Settings
	Now      func() time.Time
	Log      *slog.Logger
	Client   *http.Client // posts to the webhook; nil means a client that follows no redirects
}

// Account is this process's part of the cost account. It is safe for concurrent use.
type Account struct {
	Config
	begin time.Time // when the counting began

	mu       sync.Mutex
	settings Settings
	last     map[string]Usage           // from the previous reading
	pending  map[Month]map[string]Usage // not yet sent to the Keeper
	flying   *Batch                     // sent, but not known to have arrived
	serial   uint64
	known    map[Month]*Kept // the Keeper's latest values
	asked    time.Time       // time of the Keeper's last answer
	problem  error           // the Keeper's last error, nil if the last call succeeded

	telling map[AlertKey]bool // used only by the account's goroutine: alerts that this process handles
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Open starts counting. Close ends it.
func Open(c Config) *Account {
	if c.Client == nil {
		c.Client = &http.Client{Timeout: webhookTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	a := &Account{
		Config: c, begin: c.Now(), settings: c.Settings, last: usageOf(c.Read()),
		pending: make(map[Month]map[string]Usage), known: make(map[Month]*Kept), telling: make(map[AlertKey]bool),
	}
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	a.running.Go(func() { a.run(ctx) })
	return a
}

// Close adds the rest of the usage, unless ctx ends first. Alerts in delivery are left to the next
// process or to another instance.
func (a *Account) Close(ctx context.Context) error {
	a.stop()
	a.running.Wait()
	a.exchange(ctx)
	return a.Keeper.Close()
}

// Configure applies other prices and another budget. They hold for the whole month.
func (a *Account) Configure(s Settings) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settings = s
}

func (a *Account) run(ctx context.Context) {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	a.exchange(ctx) // show the kept account from the start
	a.watch(ctx)
	for {
		select {
		case <-tick.C:
			a.exchange(ctx)
			a.watch(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// collect adds the usage since the previous reading to the pending usage of the current month.
func (a *Account) collect(now time.Time) {
	current := usageOf(a.Read())
	m := MonthOf(now)
	for name, u := range current {
		d := u.since(a.last[name])
		if d == (Usage{}) {
			continue
		}
		if a.pending[m] == nil {
			a.pending[m] = make(map[string]Usage)
		}
		a.pending[m][name] = a.pending[m][name].Plus(d)
	}
	a.last = current
}

// exchange adds all pending usage to the kept account and reads the usage of other instances.
func (a *Account) exchange(ctx context.Context) {
	a.mu.Lock()
	a.collect(a.Now())
	a.mu.Unlock()
	for {
		b := a.next(a.Now())
		if b == nil {
			return
		}
		bounded, cancel := context.WithTimeout(ctx, keepTime)
		k, err := a.Keeper.Add(bounded, b)
		cancel()
		if ctx.Err() != nil && err != nil {
			return
		}
		if a.arrived(b, k, err); err != nil {
			return
		}
	}
}

// next returns the batch to send: the one that may not have arrived, else the pending usage of the
// earliest month, else an empty batch as a query. It returns nil if nothing is due.
func (a *Account) next(now time.Time) *Batch {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.flying != nil {
		return a.flying
	}
	months := slices.Sorted(maps.Keys(a.pending))
	if len(months) == 0 {
		if m := MonthOf(now); a.known[m] == nil || now.Sub(a.asked) >= askEvery {
			return &Batch{Month: m}
		}
		return nil
	}
	m := months[0]
	a.serial++
	a.flying = &Batch{Writer: a.Writer, Serial: a.serial, Month: m, Since: a.since(m), Routes: a.pending[m]}
	delete(a.pending, m)
	return a.flying
}

// since returns the time at which this process began counting in month m.
func (a *Account) since(m Month) time.Time {
	if begin, _ := m.bounds(); begin.After(a.begin) {
		return begin
	}
	return a.begin
}

// arrived records the result of a batch. If the Keeper did not accept the batch, it is sent again
// later.
func (a *Account) arrived(b *Batch, k *Kept, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil && a.problem == nil:
		a.Log.Warn("the cost account cannot be written; usage is held in memory until it can", "error", err)
	case err == nil && a.problem != nil:
		a.Log.Info("the cost account can be written again")
	}
	if a.problem = err; err != nil {
		return
	}
	clear(a.known) // other months are read again when they are requested
	a.known[b.Month], a.asked = k, a.Now()
	if a.flying == b {
		a.flying = nil
	}
}

// current returns the settings and the account of the current month, as far as this process knows
// it.
func (a *Account) current(now time.Time) (Settings, Month, *Kept) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.collect(now)
	m := MonthOf(now)
	k := a.known[m].clone()
	if a.flying != nil && a.flying.Month == m {
		k.add(a.flying)
	}
	if routes := a.pending[m]; routes != nil {
		k.add(&Batch{Since: a.since(m), Routes: routes})
	}
	return a.settings, m, k
}

// Report returns the account of the current month up to now.
func (a *Account) Report() *Report {
	now := a.Now()
	s, m, k := a.current(now)
	r := s.report(m, k, now)
	r.Kept = a.kept()
	return r
}

// Past returns the account of another month, at today's prices.
func (a *Account) Past(ctx context.Context, m Month) (*Report, error) {
	now := a.Now()
	if m == MonthOf(now) {
		return a.Report(), nil
	}
	k, err := a.Keeper.Month(ctx, m)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	s := a.settings
	a.mu.Unlock()
	r := s.report(m, k, now)
	r.Kept = a.kept()
	return r, nil
}

func (a *Account) kept() KeptReport {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := KeptReport{In: a.Keeper.Place(), Every: Interval.Seconds()}
	if a.problem != nil {
		r.Problem = a.problem.Error()
	}
	return r
}
