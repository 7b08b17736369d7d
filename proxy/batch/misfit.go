package batch

import (
	"sync/atomic"
	"time"
)

// misfitPause is how long a misfit ends a call at once after one for which asking one by one was of
// no use. It bounds the calls that an origin gets which does not answer with a list, and is short
// enough for an origin that is being mended.
const misfitPause = 10 * time.Second

// misfits remembers that an answer was no list of elements and that no id alone brought one either.
// So the fault is not in a single element.
type misfits struct{ until atomic.Int64 } // Unix nanoseconds

func (m *misfits) note(now time.Time) { m.until.Store(now.Add(misfitPause).UnixNano()) }

// known reports whether asking one by one was of no use a short while ago.
func (m *misfits) known(now time.Time) bool { return now.UnixNano() < m.until.Load() }
