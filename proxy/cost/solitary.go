package cost

import (
	"context"
	"maps"
	"sync"
	"time"
)

// book is the account of all months, for a Keeper that is its only writer.
type book struct {
	months map[Month]*Kept
}

// changed returns a copy of the book in which change has changed one month. It drops months that
// are too old.
func (b book) changed(m Month, change func(*Kept)) book {
	next := book{maps.Clone(b.months)}
	if next.months == nil {
		next.months = make(map[Month]*Kept)
	}
	k := next.months[m].clone()
	change(k)
	next.months[m] = k
	for other := range next.months {
		if other <= m.Back(Months) {
			delete(next.months, other)
		}
	}
	return next
}

// solitary is a Keeper that shares its account with no other process. Its write function persists a
// changed book.
type solitary struct {
	mu     sync.Mutex
	book   book
	serial uint64 // of the last batch
	place  string
	open   func() error // called before each use
	write  func(book) error
	close  func() error
}

// NewMemory returns a Keeper that only uses memory.
func NewMemory() Keeper {
	return &solitary{place: "memory", open: func() error { return nil }, write: func(book) error { return nil }, close: func() error { return nil }}
}

var _ Keeper = (*solitary)(nil)

// change changes a month, as a whole or not at all.
func (s *solitary) change(m Month, change func(*Kept)) error {
	next := s.book.changed(m, change)
	if err := s.write(next); err != nil {
		return err
	}
	s.book = next
	return nil
}

func (s *solitary) Add(_ context.Context, b *Batch) (*Kept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return nil, err
	}
	if len(b.Routes) > 0 && b.Serial > s.serial {
		if err := s.change(b.Month, func(k *Kept) { k.add(b) }); err != nil {
			return nil, err
		}
		s.serial = b.Serial
	}
	return s.book.months[b.Month].clone(), nil
}

func (s *solitary) Month(_ context.Context, m Month) (*Kept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return nil, err
	}
	return s.book.months[m].clone(), nil
}

// Claim fails only for handled alerts. There is no other process, so it takes over the claim of a
// killed one.
func (s *solitary) Claim(_ context.Context, a AlertKey, writer string, now time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return false, err
	}
	if k := s.book.months[a.Month]; k != nil {
		if _, told := k.Alerts[a.Share]; told {
			return false, nil
		}
	}
	err := s.change(a.Month, func(k *Kept) { k.Claims[a.Share] = claim{writer, now.Add(ClaimTime)} })
	return err == nil, err
}

func (s *solitary) Conclude(_ context.Context, a AlertKey, told Told) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return err
	}
	return s.change(a.Month, func(k *Kept) {
		k.Alerts[a.Share] = told
		delete(k.Claims, a.Share)
	})
}

func (s *solitary) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close()
}

func (s *solitary) Place() string { return s.place }
