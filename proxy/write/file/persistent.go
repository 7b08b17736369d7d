package file

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/write"
)

// openAgain is the interval at which an unusable file is opened again: another process may have
// closed it, or an operator may have repaired it.
const openAgain = 2 * time.Second

// Persistent is a Store whose file may be unusable. As long as it is unusable, no write is accepted
// or applied, and Persistent tries to open the file again.
type Persistent struct {
	path   string
	bounds write.Bounds
	now    func() time.Time
	log    *slog.Logger
	held   *write.Held

	opened  atomic.Pointer[Store]
	problem atomic.Pointer[error] // the reason for which the file is not open
	is      chan struct{}         // closed when the file is open
	stop    context.CancelFunc
	running sync.WaitGroup
	closing sync.Once
	closed  error
}

var _ write.Store = (*Persistent)(nil)

// OpenPersistent opens the file. If that fails, it continues to try in the background.
func OpenPersistent(path string, b write.Bounds, now func() time.Time, log *slog.Logger) *Persistent {
	p := &Persistent{path: path, bounds: b, now: now, log: log, held: write.NewHeld(), is: make(chan struct{})}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	if !p.open() {
		p.running.Go(func() { p.keepTrying(ctx) })
	}
	return p
}

// open tries once. It logs each problem once.
func (p *Persistent) open() bool {
	s, err := open(p.path, p.bounds, p.now, p.log, p.held)
	if err != nil {
		err = withRemedy(p.path, err)
		if before := p.problem.Swap(&err); before == nil || (*before).Error() != err.Error() {
			p.log.Error("writes are refused with status 503 until the file of queued writes can be opened; the gateway tries every 2s", "error", err)
		}
		return false
	}
	if p.problem.Swap(nil) != nil {
		p.log.Info("the file of queued writes is open now", "file", p.path)
	}
	p.opened.Store(s)
	close(p.is)
	return true
}

func (p *Persistent) keepTrying(ctx context.Context) {
	tick := time.NewTicker(openAgain)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if p.open() {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// store returns the open store, or the reason for which the file is not open.
func (p *Persistent) store() (*Store, error) {
	if s := p.opened.Load(); s != nil {
		return s, nil
	}
	if problem := p.problem.Load(); problem != nil {
		return nil, *problem
	}
	return nil, write.ErrClosed
}

// Problem returns the reason for which writes can't be accepted, or nil.
func (p *Persistent) Problem() error {
	s, err := p.store()
	if err != nil {
		return err
	}
	return s.Problem()
}

// Broken returns the reason for which the file as a whole is unusable, or nil. It distinguishes a
// damaged file from a damaged write in it.
func (p *Persistent) Broken() error {
	s, err := p.store()
	if err != nil {
		return err
	}
	return s.Broken()
}

// Close ends the attempts and closes the store.
func (p *Persistent) Close() error {
	p.closing.Do(func() {
		p.stop()
		p.running.Wait()
		if s := p.opened.Load(); s != nil {
			p.closed = s.Close()
		}
	})
	return p.closed
}

// Hold waits until the file is open and then calls the store's Hold.
func (p *Persistent) Hold(ctx context.Context, work func(context.Context, write.Part)) {
	select {
	case <-p.is:
		p.opened.Load().Hold(ctx, work)
	case <-ctx.Done():
	}
}

// Held returns the names with queued writes.
func (p *Persistent) Held() *write.Held { return p.held }

// Add stores a write.
func (p *Persistent) Add(ctx context.Context, w *write.Write) (string, error) {
	s, err := p.store()
	if err != nil {
		return "", err
	}
	return s.Add(ctx, w)
}

// Find returns a write and its state.
func (p *Persistent) Find(ctx context.Context, id string) (*write.Record, error) {
	s, err := p.store()
	if err != nil {
		return nil, err
	}
	return s.Find(ctx, id)
}

// Newest returns the last write that is queued for the read name seen.
func (p *Persistent) Newest(ctx context.Context, seen string) (*write.Write, error) {
	s, err := p.store()
	if err != nil {
		return nil, err
	}
	return s.Newest(ctx, seen)
}

// Letters returns the dead letters.
func (p *Persistent) Letters(ctx context.Context, most int) ([]*write.Record, error) {
	s, err := p.store()
	if err != nil {
		return nil, err
	}
	return s.Letters(ctx, most)
}

// Replay puts a dead letter at the end of its lane.
func (p *Persistent) Replay(ctx context.Context, id string) error {
	s, err := p.store()
	if err != nil {
		return err
	}
	return s.Replay(ctx, id)
}

// Drop removes a dead letter.
func (p *Persistent) Drop(ctx context.Context, id string) error {
	s, err := p.store()
	if err != nil {
		return err
	}
	return s.Drop(ctx, id)
}

// Stats returns the figures of the queue.
func (p *Persistent) Stats(ctx context.Context) (write.Stats, error) {
	s, err := p.store()
	if err != nil {
		return write.Stats{}, err
	}
	return s.Stats(ctx)
}
