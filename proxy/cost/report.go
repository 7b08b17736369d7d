package cost

import (
	"cmp"
	"slices"
	"time"
)

// Prices are the prices of traffic, in millionths of the currency.
type Prices struct {
	EgressPerGB              Micros // per 10⁹ bytes from the gateway to clients
	OriginPerGB              Micros // per 10⁹ bytes from the origins
	OriginPerMillionRequests Micros
}

// Settings are the configuration of the cost account.
type Settings struct {
	Currency string
	Prices
	Budget *Budget // nil without a budget
}

// Money is an amount for display.
type Money struct {
	Amount string `json:"amount"` // rounded to cents, as in "1234.05"
	Micros Micros `json:"micros"` // in millionths of the currency
}

func shown(a Amount) Money { return Money{a.String(), a.Micros()} }

// Line is the account of one route, or of all routes.
type Line struct {
	Route string `json:"route,omitempty"`
	Usage
	OriginRequestsAvoided uint64 `json:"origin_requests_avoided"` // requests that caused no origin request

	Spent            Money   `json:"spent"`              // the sum of the next three
	SpentEgress      Money   `json:"spent_egress"`       // bytes to clients
	SpentOriginBytes Money   `json:"spent_origin_bytes"` // bytes from origins
	SpentOriginCalls Money   `json:"spent_origin_calls"` // requests to origins
	Saved            Money   `json:"saved"`              // the sum of the next three
	SavedEgress      Money   `json:"saved_egress"`       // by compression
	SavedOriginBytes Money   `json:"saved_origin_bytes"` // by the cache
	SavedOriginCalls Money   `json:"saved_origin_calls"` // by the cache
	SavedShare       float64 `json:"saved_share"`        // saved/(spent+saved)
	spent, saved     Amount
}

// BudgetReport is the state of the budget.
type BudgetReport struct {
	Monthly        Money         `json:"monthly"`
	UsedShare      float64       `json:"used_share"`      // spent/monthly
	ProjectedShare *float64      `json:"projected_share"` // for the whole month; null if it is too early to say
	Alerts         []AlertReport `json:"alerts"`
}

// AlertReport is the state of an alert.
type AlertReport struct {
	Share     Share      `json:"share"`   // for example "80%"
	Reached   bool       `json:"reached"` // the spending has reached the share
	At        *time.Time `json:"at"`      // when the alert was handled; null if it was not
	Delivered bool       `json:"delivered"`
}

// KeptReport says where the account is kept.
type KeptReport struct {
	In      string  `json:"in"`      // "redis" (for all instances together), "file" or "memory"
	Every   float64 `json:"every_s"` // a killed process loses the usage of this many seconds, and of the time that a batch takes
	Problem string  `json:"problem,omitempty"`
}

// PriceReport holds the configured prices.
type PriceReport struct {
	EgressPerGB              Micros `json:"egress_per_gb_micros"`
	OriginPerGB              Micros `json:"origin_per_gb_micros"`
	OriginPerMillionRequests Micros `json:"origin_per_million_requests_micros"`
}

// Report is the account of a month, and the body of GET /api/cost.
type Report struct {
	Configured bool          `json:"configured"` // false if no account is kept; then the other fields are meaningless
	Hint       string        `json:"hint,omitempty"`
	Currency   string        `json:"currency"`
	Month      Month         `json:"month"` // 2026-11, in UTC
	Since      *time.Time    `json:"since"` // when the account of this month began; null if it is empty
	At         time.Time     `json:"at"`
	Prices     PriceReport   `json:"prices"`
	Total      Line          `json:"total"`
	Routes     []Line        `json:"routes"`    // by cost, highest first
	Projected  *Money        `json:"projected"` // the expected cost of the whole month; null if it is too early to say
	Budget     *BudgetReport `json:"budget"`    // null without a budget
	Kept       KeptReport    `json:"kept"`
}

// price computes a line.
func (p *Prices) price(route string, u Usage) Line {
	avoided := u.OriginRequestsAvoided()
	egress, bytes, calls := amountOf(u.BytesOut, p.EgressPerGB, unitsPerBytePrice), amountOf(u.BytesFromOrigin, p.OriginPerGB, unitsPerBytePrice),
		amountOf(u.OriginRequests, p.OriginPerMillionRequests, unitsPerRequestPrice)
	savedEgress, savedBytes, savedCalls := amountOf(u.BytesSavedByCompression, p.EgressPerGB, unitsPerBytePrice),
		amountOf(u.BytesSavedByCache, p.OriginPerGB, unitsPerBytePrice), amountOf(avoided, p.OriginPerMillionRequests, unitsPerRequestPrice)
	l := Line{
		Route: route, Usage: u, OriginRequestsAvoided: avoided,
		SpentEgress: shown(egress), SpentOriginBytes: shown(bytes), SpentOriginCalls: shown(calls),
		SavedEgress: shown(savedEgress), SavedOriginBytes: shown(savedBytes), SavedOriginCalls: shown(savedCalls),
		spent: egress.Plus(bytes).Plus(calls), saved: savedEgress.Plus(savedBytes).Plus(savedCalls),
	}
	return l.summed()
}

func (l Line) summed() Line {
	l.Spent, l.Saved, l.SavedShare = shown(l.spent), shown(l.saved), l.saved.Share(l.spent.Plus(l.saved))
	return l
}

// total sums lines. The avoided requests are summed by route and not computed from the total, so
// that a route that makes several calls for one request does not reduce the savings of others.
func (p *Prices) total(lines []Line) Line {
	var u Usage
	var avoided uint64
	saved := Amount{}
	for i := range lines {
		u = u.Plus(lines[i].Usage)
		avoided += lines[i].OriginRequestsAvoided
		saved = saved.Plus(lines[i].saved)
	}
	sum := p.price("", u)
	sum.OriginRequestsAvoided, sum.saved = avoided, saved
	sum.SavedOriginCalls = shown(amountOf(avoided, p.OriginPerMillionRequests, unitsPerRequestPrice))
	return sum.summed()
}

// report computes the report of a month.
func (s *Settings) report(m Month, k *Kept, now time.Time) *Report {
	r := &Report{
		Configured: true, Currency: s.Currency, Month: m, At: now.UTC(), Routes: []Line{},
		Prices: PriceReport{s.EgressPerGB, s.OriginPerGB, s.OriginPerMillionRequests},
	}
	for name, u := range k.Routes {
		if u != (Usage{}) {
			r.Routes = append(r.Routes, s.price(name, u))
		}
	}
	slices.SortFunc(r.Routes, func(a, b Line) int { return cmp.Or(b.spent.Cmp(a.spent), cmp.Compare(a.Route, b.Route)) })
	r.Total = s.total(r.Routes)
	var whole Amount
	known := false
	if !k.Since.IsZero() {
		since := k.Since.UTC()
		r.Since = &since
		if whole, known = projected(r.Total.spent, m, k.Since, now); known {
			p := shown(whole)
			r.Projected = &p
		}
	}
	if s.Budget != nil {
		r.Budget = s.Budget.report(r.Total.spent, k)
		if known {
			share := whole.Share(Whole(s.Budget.Monthly))
			r.Budget.ProjectedShare = &share
		}
	}
	return r
}

func (b *Budget) report(spent Amount, k *Kept) *BudgetReport {
	monthly := Whole(b.Monthly)
	r := &BudgetReport{Monthly: shown(monthly), UsedShare: spent.Share(monthly), Alerts: []AlertReport{}}
	crossed := b.crossed(spent)
	for _, s := range b.AlertAt {
		a := AlertReport{Share: s, Reached: slices.Contains(crossed, s)}
		if told, ok := k.Alerts[s]; ok {
			at := told.At.UTC()
			a.At, a.Delivered = &at, told.Delivered
		}
		r.Alerts = append(r.Alerts, a)
	}
	return r
}
