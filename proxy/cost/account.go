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
	// Interval is how often what was counted is added to what is kept.
	Interval = 2 * time.Second
	// askEvery is how often an account that has nothing to add asks for what others have added.
	askEvery = 10 * time.Second
	// keepTime bounds one call of the Keeper.
	keepTime = 2 * time.Second
)

// Config is what an Account is made of.
type Config struct {
	Read     func() observe.Reading // what the gateway has counted since it began
	Keeper   Keeper
	Writer   string // unique for each account that ever ran
	Settings Settings
	Now      func() time.Time
	Log      *slog.Logger
	Client   *http.Client // posts to the webhook; nil: one that follows no redirects
}

// Account is this process' part in the account of what traffic costs. It may be used concurrently.
type Account struct {
	Config
	begin time.Time // of the counting

	mu       sync.Mutex
	settings Settings
	last     map[string]Usage           // of the reading before
	pending  map[Month]map[string]Usage // not on its way to the Keeper yet
	flying   *Batch                     // on its way, and not known to have arrived
	serial   uint64
	known    map[Month]*Kept // as the Keeper gave it last
	asked    time.Time       // when the Keeper answered last
	problem  error           // why it does not

	telling map[AlertKey]bool // of the goroutine alone: alerts that this process has seen to
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Open begins to count from now on. Close ends it.
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

// Close adds what is left, as long as ctx lasts, and ends. Alerts that are being told are left for the next process, or for other instances.
func (a *Account) Close(ctx context.Context) error {
	a.stop()
	a.running.Wait()
	a.exchange(ctx)
	return a.Keeper.Close()
}

// Configure puts other prices and another budget in force, for the whole month.
func (a *Account) Configure(s Settings) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settings = s
}

func (a *Account) run(ctx context.Context) {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	a.exchange(ctx) // what was kept before shows from the start
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

// collect takes what was counted since the last time into what is pending, for the month that it is now.
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

// exchange adds all that is pending to what is kept, and learns what others have added.
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

// next is the batch to send: the one that may not have arrived, else what is pending of the earliest month, else a question. nil: nothing is due.
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

// since is when this process began to count in a month.
func (a *Account) since(m Month) time.Time {
	if begin, _ := m.bounds(); begin.After(a.begin) {
		return begin
	}
	return a.begin
}

// arrived notes what became of a batch. What the Keeper does not take is kept here until it does.
func (a *Account) arrived(b *Batch, k *Kept, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil && a.problem == nil:
		a.Log.Warn("the cost account can't be written: what is counted is held in memory until it can", "error", err)
	case err == nil && a.problem != nil:
		a.Log.Info("the cost account is written again")
	}
	if a.problem = err; err != nil {
		return
	}
	clear(a.known) // other months are asked for when they are wanted
	a.known[b.Month], a.asked = k, a.Now()
	if a.flying == b {
		a.flying = nil
	}
}

// current is the account of the month that it is, as far as it is known here.
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

// Report is the account of the current month, as it is at this moment.
func (a *Account) Report() *Report {
	now := a.Now()
	s, m, k := a.current(now)
	r := s.report(m, k, now)
	r.Kept = a.kept()
	return r
}

// Past is the account of another month, at today's prices.
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
