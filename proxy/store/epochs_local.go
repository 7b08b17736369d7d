package store

import (
	"context"
	"fmt"
	"time"
)

// LocalPurger purges what one instance has stored that shares nothing with others.
type LocalPurger struct {
	Epochs  *Epochs
	Applied func(Purge) // is told of each purge when it holds, to delete objects that it names; may be nil
}

// Purge applies p at once; there is nobody to wait for.
func (l *LocalPurger) Purge(_ context.Context, p Purge, _ time.Duration) (Report, error) {
	if err := p.Check(); err != nil {
		return Report{}, err
	}
	began := l.Epochs.now()
	p.At = began
	p = l.Epochs.ApplyLocal(p)
	if l.Applied != nil {
		l.Applied(p)
	}
	return Report{Epoch: p.Epoch, Instances: 1, Applied: 1, Took: l.Epochs.now().Sub(began)}, nil
}

// Check says what is wrong with p.
func (p *Purge) Check() error {
	if len(p.Targets) == 0 {
		return fmt.Errorf("store: a purge needs a target")
	}
	for _, t := range p.Targets {
		if err := t.Check(); err != nil {
			return err
		}
	}
	return nil
}
