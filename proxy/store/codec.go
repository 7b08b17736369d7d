package store

import "errors"

// ErrDamaged is returned for an encoding that can't be what was encoded: cut short, changed, of another version of the form, or another key's.
var ErrDamaged = errors.New("store: damaged value")
