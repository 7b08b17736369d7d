package file

import (
	"context"

	"github.com/penstock/penstock/proxy/write"
)

// part is the only part, with all lanes: only this process uses the file.
type part struct {
	*Store
	held context.Context
}

var _ write.Part = (*part)(nil)

// Hold calls work for all lanes until ctx ends.
func (s *Store) Hold(ctx context.Context, work func(context.Context, write.Part)) {
	held, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	work(ctx, &part{s, held})
}

// Held returns a context that lasts as long as the work.
func (p *part) Held() context.Context { return p.held }

// Next waits for new writes.
func (p *part) Next(ctx context.Context) ([]write.Entry, error) {
	for {
		p.mu.Lock()
		entries := p.fresh
		p.fresh = nil
		p.mu.Unlock()
		if len(entries) > 0 {
			return entries, nil
		}
		select {
		case <-p.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Load returns the write of an entry.
func (p *part) Load(ctx context.Context, e write.Entry) (*write.Record, error) {
	return p.Find(ctx, e.ID)
}
