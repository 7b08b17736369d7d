package shared

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/write"
)

// durability records how durably Redis keeps writes. It is checked when Redis comes back and every
// few seconds, since the settings may change.
type durability struct {
	mu         sync.Mutex // held during a check
	since      atomic.Pointer[time.Time]
	refused    atomic.Pointer[error] // the reason to refuse writes; nil: writes are accepted
	lastLogged string                // last logged text
}

// refusal returns the reason for which Redis must not be given writes, or nil.
func (w *Writes) refusal(ctx context.Context) error {
	if !w.durabilityCurrent() {
		if err := w.checkDurability(ctx); err != nil {
			return err
		}
	}
	if refused := w.durable.refused.Load(); refused != nil {
		return *refused
	}
	return nil
}

// durabilityCurrent reports whether Redis has been up without interruption since the last check.
func (w *Writes) durabilityCurrent() bool {
	since := w.durable.since.Load()
	return since != nil && since.Equal(w.c.Health().Since)
}

// checkDurability asks Redis for its settings and records the result.
func (w *Writes) checkDurability(ctx context.Context) error {
	w.durable.mu.Lock()
	defer w.durable.mu.Unlock()
	since := w.c.Health().Since
	reply, err := w.run(ctx, w.scripts.settings, queueTime)
	if err != nil {
		return fmt.Errorf("checking how durably Redis keeps writes: %w", err)
	}
	list, _ := reply.([]any)
	if len(list) != 3 {
		return fmt.Errorf("checking how durably Redis keeps writes: unexpected reply %.100q", fmt.Sprint(reply))
	}
	refused, warnings := rateDurability(fmt.Sprint(list[0]), fmt.Sprint(list[1]), fmt.Sprint(list[2]), w.bounds.AcceptEviction)
	w.logDurability(refused, warnings)
	if refused == nil {
		w.durable.refused.Store(nil)
	} else {
		w.durable.refused.Store(&refused)
	}
	w.durable.since.Store(&since)
	return nil
}

// rateDurability decides from Redis's settings whether Redis may be given writes, and returns
// warnings for the operator. An empty setting is unknown.
func rateDurability(policy, maxMemory, appendOnly string, acceptEviction bool) (refused error, warnings []string) {
	evicts := strings.HasPrefix(policy, "allkeys-")
	switch {
	case evicts && maxMemory != "0" && !acceptEviction:
		refused = fmt.Errorf("%w: its maxmemory-policy is %s, which may evict acknowledged writes; set noeviction or a volatile-* policy, or accept the risk with writes.accept_eviction", write.ErrUnsafe, policy)
	case evicts && maxMemory != "0":
		warnings = append(warnings, "Redis has maxmemory-policy "+policy+" and may evict acknowledged writes, which writes.accept_eviction allows")
	case evicts:
		warnings = append(warnings, "Redis has maxmemory-policy "+policy+": if maxmemory is set, writes will be refused, because Redis could evict them; set noeviction or a volatile-* policy")
	case policy == "":
		warnings = append(warnings, "the maxmemory-policy of Redis is unknown: allow INFO to the gateway's user, or make sure that it is noeviction or volatile-*")
	}
	if appendOnly == "0" {
		warnings = append(warnings, "Redis has no append-only file: acknowledged writes are lost if it stops; set appendonly yes and appendfsync always")
	}
	return refused, warnings
}

// logDurability logs a result that differs from the last one.
func (w *Writes) logDurability(refused error, warnings []string) {
	now := strings.Join(warnings, "\n")
	if refused != nil {
		now += refused.Error()
	}
	if now == w.durable.lastLogged {
		return
	}
	if w.durable.lastLogged != "" && refused == nil {
		w.c.log.Info("writes are accepted again", "server", w.c.server)
	}
	w.durable.lastLogged = now
	if refused != nil {
		w.c.log.Error("writes are refused with status 503", "server", w.c.server, "error", refused)
	}
	for _, warning := range warnings {
		w.c.log.Warn(warning, "server", w.c.server)
	}
}

// Problem returns the reason for which writes can't be accepted, or nil.
func (w *Writes) Problem() error {
	if h := w.c.Health(); h.State != Up {
		return fmt.Errorf("Redis does not answer: %w", cmpErr(h.Err, ErrOpen))
	}
	if refused := w.durable.refused.Load(); refused != nil {
		return *refused
	}
	return nil
}

// cmpErr returns a if it is not nil, and b otherwise.
func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
