package file

import (
	"context"

	"github.com/penstock/penstock/proxy/write"
)

// part is the whole of the lanes: the file is this process's alone.
type part struct {
	*Store
	held context.Context
}

var _ write.Part = (*part)(nil)

// Hold has all of it worked on until ctx ends.
func (s *Store) Hold(ctx context.Context, work func(context.Context, write.Part)) {
	held, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	work(ctx, &part{s, held})
}

// Held lasts as long as the work.
func (p *part) Held() context.Context { return p.held }

// Next waits for writes that have come since the last time.
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

// Load gives the write of an entry.
func (p *part) Load(ctx context.Context, e write.Entry) (*write.Record, error) {
	return p.Find(ctx, e.ID)
}
