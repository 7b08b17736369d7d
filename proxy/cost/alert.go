package cost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	webhookTime  = 10 * time.Second
	webhookTries = 12 // in about half an hour
	firstPause   = time.Second
	longestPause = 5 * time.Minute
)

// alert is the webhook's message that a share of the budget is reached.
type alert struct {
	Event     string    `json:"event"` // "budget"
	Text      string    `json:"text"`
	Share     Share     `json:"share"`
	Month     Month     `json:"month"`
	Currency  string    `json:"currency"`
	Spent     string    `json:"spent"`
	Budget    string    `json:"budget"`
	Projected *string   `json:"projected"`
	At        time.Time `json:"at"`

	webhook string
}

// watch starts the delivery of due alerts that no instance has delivered.
func (a *Account) watch(ctx context.Context) {
	now := a.Now()
	s, m, k := a.current(now)
	if s.Budget == nil {
		return
	}
	r := s.report(m, k, now)
	for _, share := range s.Budget.crossed(r.Total.spent) {
		key := AlertKey{m, share}
		if _, told := k.Alerts[share]; told || a.telling[key] {
			continue
		}
		if !a.claim(ctx, key) {
			continue
		}
		a.telling[key] = true
		due := newAlert(s, r, share, now)
		a.Log.Warn("a share of the budget is reached", "share", share.String(), "month", m, "spent", due.Spent, "budget", due.Budget, "currency", s.Currency)
		a.running.Go(func() { a.tell(ctx, key, due) })
	}
}

func newAlert(s Settings, r *Report, share Share, now time.Time) *alert {
	out := &alert{
		Event: "budget", Share: share, Month: r.Month, Currency: s.Currency, Spent: r.Total.Spent.Amount, Budget: r.Budget.Monthly.Amount,
		At: now.UTC(), webhook: s.Budget.Webhook,
	}
	out.Text = fmt.Sprintf("Penstock: %s of the budget of %s %s for %s is reached: %s spent", share, out.Budget, s.Currency, r.Month, out.Spent)
	if r.Projected != nil {
		out.Projected = &r.Projected.Amount
		out.Text += fmt.Sprintf(", %s projected for the month", r.Projected.Amount)
	}
	return out
}

// claim reports whether this process must deliver the alert. It returns false if the Keeper fails,
// since another instance may be responsible.
func (a *Account) claim(ctx context.Context, key AlertKey) bool {
	bounded, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	ours, err := a.Keeper.Claim(bounded, key, a.Writer, a.Now())
	return ours && err == nil
}

// tell posts the alert until the webhook accepts it, and records the result. If ctx ends first, it
// records nothing.
func (a *Account) tell(ctx context.Context, key AlertKey, due *alert) {
	delivered := due.webhook == ""
	for try, pause := 1, firstPause; !delivered && try <= webhookTries; try, pause = try+1, min(2*pause, longestPause) {
		err := a.post(ctx, due)
		if ctx.Err() != nil {
			return
		}
		if delivered = err == nil; delivered {
			break
		}
		if refused := (*refusedError)(nil); errors.As(err, &refused) || try == webhookTries {
			a.Log.Error("the webhook did not accept the budget alert; giving up", "share", due.Share.String(), "tries", try, "error", err)
			break
		}
		a.Log.Info("the webhook did not accept the budget alert; trying again", "share", due.Share.String(), "in", pause, "error", err)
		if !sleep(ctx, pause) {
			return
		}
		a.claim(ctx, key) // renew the claim: this process is still trying
	}
	a.conclude(ctx, key, Told{At: due.At, Delivered: delivered})
}

// conclude records that an alert was handled. It retries until it succeeds or ctx ends, so that no
// other process delivers the alert again.
func (a *Account) conclude(ctx context.Context, key AlertKey, told Told) {
	for {
		bounded, cancel := context.WithTimeout(ctx, keepTime)
		err := a.Keeper.Conclude(bounded, key, told)
		cancel()
		if err == nil || !sleep(ctx, Interval) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// refusedError is a response after which a retry is useless.
type refusedError struct{ status string }

func (e *refusedError) Error() string { return "it answers " + e.status }

// post sends the alert once. Each try has the same Idempotency-Key, so that the receiver can tell a
// retry from another alert. Errors never include the URL, since it is often a secret.
func (a *Account) post(ctx context.Context, due *alert) error {
	body, err := json.Marshal(due)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, due.webhook, bytes.NewReader(body))
	if err != nil {
		return errors.New("its URL is not valid")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "penstock")
	req.Header.Set("Idempotency-Key", fmt.Sprintf("penstock-budget-%s-%s", due.Month, due.Share))
	resp, err := a.Client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // lets the connection be reused
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode/100 == 5, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout:
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return &refusedError{resp.Status}
}
