package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// replayPoll is the interval at which follow asks for the state of a write.
const replayPoll = 100 * time.Millisecond

// follow waits at most w.wait until the replayed writes have ended, and prints how many were
// applied. The error has one line for each of the others.
func (w *writesCommand) follow(ctx context.Context, out io.Writer, d *adminClient, ids []string) error {
	end := time.Now().Add(w.wait)
	applied := 0
	var others []error
	for _, id := range ids {
		write, err := d.ended(ctx, id, end)
		switch {
		case err != nil:
			others = append(others, fmt.Errorf("%s: its state is not known: %w", id, err))
		case write.State == "done":
			applied++
		case write.State == "dead":
			others = append(others, fmt.Errorf("%s: dead again after %d tries: %s", id, write.Tries, write.Reason))
		case write.State == "dropped":
			others = append(others, fmt.Errorf("%s: dropped meanwhile", id))
		default:
			others = append(others, fmt.Errorf("%s: still %s after %v; penstock writes show %s shows its state", id, write.State, w.wait, id))
		}
	}
	if _, err := fmt.Fprintf(out, "applied %d of %d\n", applied, len(ids)); err != nil {
		return err
	}
	return joinLines(others...)
}

// ended polls a write until it has ended or end has passed, and returns its last state.
func (d *adminClient) ended(ctx context.Context, id string, end time.Time) (*queuedWrite, error) {
	for {
		write, err := d.write(ctx, id)
		if err != nil {
			return nil, err
		}
		left := time.Until(end)
		if write.State != "queued" && write.State != "retrying" || left <= 0 {
			return write, nil
		}
		pause := time.NewTimer(min(replayPoll, left))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

// write asks for the state of one write.
func (d *adminClient) write(ctx context.Context, id string) (*queuedWrite, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.JoinPath("writes", id).String(), nil)
	if err != nil {
		return nil, err
	}
	status, answer, err := d.askWrites(req)
	switch {
	case err != nil:
		return nil, err
	case status != http.StatusOK:
		return nil, errors.New(strings.Join(answer.said(), "; "))
	}
	return &answer.Write, nil
}

// joinLines joins errs into one error with a line for each, which begins with the name of the
// program.
func joinLines(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", "\npenstock: "))
	}
	return nil
}
