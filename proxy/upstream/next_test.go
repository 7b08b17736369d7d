package upstream

import (
	"errors"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/send"
)

func TestNext(t *testing.T) {
	refused := send.Failure{Err: &fault.Error{Kind: fault.ConnectionRefused, Err: errors.New("refused")}, Unsent: true, Intact: true}
	lost := send.Failure{Err: &fault.Error{Kind: fault.ConnectionTerminated, Err: fault.ErrEarly}}
	slow := send.Failure{Err: &fault.Error{Kind: fault.ResponseTimeout, Err: fault.ErrTotal}}
	busy := send.Failure{Err: &fault.Error{Kind: fault.PoolExhausted, Err: send.ErrBusy}, Unsent: true, Intact: true}
	with := func(f send.Failure, change func(*send.Failure)) send.Failure {
		change(&f)
		return f
	}
	stale := with(lost, func(f *send.Failure) { f.Stale = true })
	untouched := with(stale, func(f *send.Failure) { f.Untouched, f.Unsent, f.Intact = true, true, true })
	early := with(stale, func(f *send.Failure) { f.Early = true })
	unprocessed := with(lost, func(f *send.Failure) { f.Unprocessed, f.Resendable = true, true })
	whole := with(unprocessed, func(f *send.Failure) { f.Unsent, f.Intact = true, true })
	partly := with(unprocessed, func(f *send.Failure) { f.Resendable = false })
	reset := with(lost, func(f *send.Failure) { f.StreamReset = true })
	get, post := policy{replayable: true}, policy{}
	const ms = time.Millisecond

	for _, c := range []struct {
		name    string
		policy  policy
		failure send.Failure
		status  int
		tries   int
		targets int
		wait    time.Duration
		want    again
	}{
		{"a response ends it", get, send.Failure{}, 200, 1, 1, 0, done},
		{"a bad response too", get, send.Failure{}, 503, 1, 1, 0, done},

		{"no connection: another target", post, refused, 0, 1, 1, 0, otherTarget},
		{"no connection, no other target", get, refused, 0, 1, 0, 0, giveUp},
		{"no place in the pool is no failure of the target", get, busy, 0, 1, 1, 0, giveUp},

		{"a fresh connection lost: the target may have acted", get, lost, 0, 1, 1, 0, giveUp},
		{"a timeout is the target's answer", get, slow, 0, 1, 1, 0, giveUp},

		{"a stale connection, harmless request", get, stale, 0, 1, 1, 0, retry},
		{"a stale connection, once", get, stale, 0, 2, 1, 0, giveUp},
		{"a stale connection, harmful request", post, stale, 0, 1, 1, 0, giveUp},

		{"a connection took nothing", post, untouched, 0, 1, 1, 0, retry},
		{"a seventh one too", post, untouched, 0, 7, 1, 0, retry},
		{"the eighth was the last", post, untouched, 0, 8, 0, 0, giveUp},
		{"stale connections speak against no target", post, untouched, 0, 8, 1, 0, giveUp},

		{"leftover bytes", get, early, 0, 1, 1, 0, retry},
		{"leftover bytes twice", get, early, 0, 2, 1, 0, retry},
		{"leftover bytes three times", get, early, 0, 3, 1, 0, giveUp},
		{"leftover bytes, harmful request", post, early, 0, 1, 1, 0, giveUp},

		{"not processed: at once", post, whole, 0, 1, 0, 0, retry},
		{"not processed twice: a pause", post, whole, 0, 2, 0, 5 * ms, retry},
		{"not processed three times", post, whole, 0, 3, 0, 20 * ms, retry},
		{"not processed four times", post, whole, 0, 4, 0, 80 * ms, retry},
		{"not processed five times", post, whole, 0, 5, 0, 0, giveUp},
		{"not processed five times, another target", post, whole, 0, 5, 1, 0, otherTarget},
		{"not processed five times, some of the body read", post, unprocessed, 0, 5, 1, 0, giveUp},
		{"not processed, and the body is lost", post, partly, 0, 1, 1, 0, giveUp},

		{"PROTOCOL_ERROR on a stream", get, reset, 0, 1, 1, 0, retry},
		{"PROTOCOL_ERROR on a second stream", get, reset, 0, 2, 1, 0, giveUp},
		{"PROTOCOL_ERROR, harmful request", post, reset, 0, 1, 1, 0, giveUp},
	} {
		if wait, got := next(c.policy, c.failure, c.status, c.tries, budget{targets: c.targets}); wait != c.wait || got != c.want {
			t.Errorf("%s: %v after %v, want %v after %v", c.name, got, wait, c.want, c.wait)
		}
	}
}
