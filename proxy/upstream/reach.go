package upstream

import (
	"context"
	"errors"
)

// Reach is nil as soon as one of the targets accepts a connection, which it closes again. Its error
// says why each of them did not. It waits for no slot of the pool: a pool that is busy reaches its
// targets.
func (p *Pool) Reach(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan error, len(p.targets))
	for _, t := range p.targets {
		go func() {
			c, err := t.endpoint.Dial(ctx, t.endpoint.TLS)
			if err == nil {
				_ = c.Close() // nothing was sent
			}
			results <- err
		}()
	}
	var errs []error
	for range p.targets {
		err := <-results
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
