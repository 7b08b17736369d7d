package shared

import (
	"sync"

	"github.com/penstock/penstock/proxy/write"
)

// maxOwnNames limits the remembered names. If a name was forgotten, reads of it find its writes
// only if no fresh response is stored, as they do for the writes of other instances.
const maxOwnNames = 1 << 16

// ownNames holds the names of the writes that this instance has queued, each with the ID of its
// last write. Another instance may apply a write, so a name is removed when the queue reports that
// no write to it is waiting.
type ownNames struct {
	*write.Held
	mu    sync.Mutex
	ids   map[string]string
	order []string // in order of arrival, including removed names
}

func newOwnNames() *ownNames { return &ownNames{Held: write.NewHeld(), ids: make(map[string]string)} }

// add records a queued write.
func (o *ownNames) add(name, id string) {
	if name == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.ids[name]; !known {
		o.Hold(name)
		o.order = append(o.order, name)
	}
	o.ids[name] = id
	for len(o.order) > maxOwnNames {
		o.drop(o.order[0])
		o.order = o.order[1:]
	}
}

// last returns the ID of the last write to name that was queued here, or "".
func (o *ownNames) last(name string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ids[name]
}

// applied removes a name because its last write is no longer waiting. It does nothing if another
// write to the name was queued since last returned id.
func (o *ownNames) applied(name, id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if id != "" && o.ids[name] == id {
		o.drop(name)
	}
}

// drop removes a name. The caller holds the lock.
func (o *ownNames) drop(name string) {
	if _, known := o.ids[name]; known {
		delete(o.ids, name)
		o.Release(name)
	}
}
