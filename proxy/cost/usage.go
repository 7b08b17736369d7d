package cost

import (
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// Usage is the usage and the savings of a route.
type Usage struct {
	Requests                uint64 `json:"requests"`                   // answered by the route, from its cache or through the origin
	OriginRequests          uint64 `json:"origin_requests"`            // including background refreshes
	BytesOut                uint64 `json:"bytes_out"`                  // body bytes from the gateway to clients
	BytesFromOrigin         uint64 `json:"bytes_from_origin"`          // body bytes from the origins to the gateway
	BytesSavedByCache       uint64 `json:"bytes_saved_by_cache"`       // body bytes not transferred from the origin
	BytesSavedByCompression uint64 `json:"bytes_saved_by_compression"` // body bytes not transferred to clients
}

// numbers returns the fields of u, in the order of FieldNames.
func (u *Usage) numbers() [6]*uint64 {
	return [6]*uint64{&u.Requests, &u.OriginRequests, &u.BytesOut, &u.BytesFromOrigin, &u.BytesSavedByCache, &u.BytesSavedByCompression}
}

// FieldNames are the names of Usage's fields, in the order of Number and SetNumber.
var FieldNames = [6]string{"requests", "origin_requests", "bytes_out", "bytes_from_origin", "bytes_saved_by_cache", "bytes_saved_by_compression"}

// Number returns the nth field.
func (u *Usage) Number(n int) uint64 { return *u.numbers()[n] }

// SetNumber sets the nth field.
func (u *Usage) SetNumber(n int, v uint64) { *u.numbers()[n] = v }

// Plus returns the sum.
func (u Usage) Plus(v Usage) Usage {
	for i, n := range u.numbers() {
		*n += v.Number(i)
	}
	return u
}

// since returns the usage since older. If a counter is lower than before, the counters have started
// anew, for example because the route was removed and added again.
func (u Usage) since(older Usage) Usage {
	for i := range FieldNames {
		if u.Number(i) < older.Number(i) {
			return u
		}
	}
	for i, n := range u.numbers() {
		*n -= older.Number(i)
	}
	return u
}

// OriginRequestsAvoided returns the number of requests that caused no origin request, and at least
// 0. A route that makes several calls for one response avoids more than this.
func (u *Usage) OriginRequestsAvoided() uint64 {
	if u.OriginRequests >= u.Requests {
		return 0
	}
	return u.Requests - u.OriginRequests
}

// usageOf sums a reading by route.
func usageOf(r observe.Reading) map[string]Usage {
	routes := make(map[string]Usage)
	for i := range r.Rows {
		row := &r.Rows[i]
		u := routes[row.Route]
		if row.Cache != observe.CacheNone { // refused, redirected or not found: it neither causes nor saves an origin request
			u.Requests += row.Requests
		}
		u.OriginRequests += row.OriginRequests
		u.BytesOut += row.BytesOut
		u.BytesFromOrigin += row.BytesFromOrigin
		u.BytesSavedByCache += row.BytesSavedByCache
		u.BytesSavedByCompression += row.BytesSavedByCompression
		routes[row.Route] = u
	}
	return routes
}

// Month is the name of a month: 2026-11.
type Month string

const monthLayout = "2006-01"

// MonthOf returns the month of t in UTC.
func MonthOf(t time.Time) Month { return Month(t.UTC().Format(monthLayout)) }

// ParseMonth parses a month's name.
func ParseMonth(s string) (Month, bool) {
	t, err := time.Parse(monthLayout, s)
	return Month(s), err == nil && t.Format(monthLayout) == s
}

// bounds returns the beginning of the month and of the next month.
func (m Month) bounds() (begin, end time.Time) {
	begin, _ = time.Parse(monthLayout, string(m))
	return begin, begin.AddDate(0, 1, 0)
}

// Back returns the month n months earlier.
func (m Month) Back(n int) Month {
	begin, _ := m.bounds()
	return MonthOf(begin.AddDate(0, -n, 0))
}
