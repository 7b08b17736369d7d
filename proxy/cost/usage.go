package cost

import (
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// Usage is what a route has used and what it was spared.
type Usage struct {
	Requests                uint64 `json:"requests"`                   // that a route answered, from its cache or through the origin
	OriginRequests          uint64 `json:"origin_requests"`            // refreshes in the background among them
	BytesOut                uint64 `json:"bytes_out"`                  // of content, from the gateway to clients
	BytesFromOrigin         uint64 `json:"bytes_from_origin"`          // of content, from the origins to the gateway
	BytesSavedByCache       uint64 `json:"bytes_saved_by_cache"`       // that would have come from the origin
	BytesSavedByCompression uint64 `json:"bytes_saved_by_compression"` // that would have gone to clients
}

// numbers are the fields of u, in the order of FieldNames.
func (u *Usage) numbers() [6]*uint64 {
	return [6]*uint64{&u.Requests, &u.OriginRequests, &u.BytesOut, &u.BytesFromOrigin, &u.BytesSavedByCache, &u.BytesSavedByCompression}
}

// FieldNames are the names of Usage's fields, in the order of Numbers and SetNumbers.
var FieldNames = [6]string{"requests", "origin_requests", "bytes_out", "bytes_from_origin", "bytes_saved_by_cache", "bytes_saved_by_compression"}

// Number is the nth field.
func (u *Usage) Number(n int) uint64 { return *u.numbers()[n] }

// SetNumber sets the nth field.
func (u *Usage) SetNumber(n int, v uint64) { *u.numbers()[n] = v }

// Plus is the sum.
func (u Usage) Plus(v Usage) Usage {
	for i, n := range u.numbers() {
		*n += v.Number(i)
	}
	return u
}

// since is what came to older. Counters that have gone back began anew, as those of a route that was removed and comes again may.
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

// OriginRequestsAvoided is how many more requests the origins would have had, were each request one to them. It is never below nothing: a
// route that makes one answer of several calls avoids more than this says.
func (u *Usage) OriginRequestsAvoided() uint64 {
	if u.OriginRequests >= u.Requests {
		return 0
	}
	return u.Requests - u.OriginRequests
}

// usageOf sums a reading up by route.
func usageOf(r observe.Reading) map[string]Usage {
	routes := make(map[string]Usage)
	for i := range r.Rows {
		row := &r.Rows[i]
		u := routes[row.Route]
		if row.Cache != observe.CacheNone { // refused, redirected, not found: it costs no origin request, and saves none
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

// MonthOf is the month of a moment, in UTC.
func MonthOf(t time.Time) Month { return Month(t.UTC().Format(monthLayout)) }

// ParseMonth reads a month's name.
func ParseMonth(s string) (Month, bool) {
	t, err := time.Parse(monthLayout, s)
	return Month(s), err == nil && t.Format(monthLayout) == s
}

// bounds are the first moment of a month and that of the next.
func (m Month) bounds() (begin, end time.Time) {
	begin, _ = time.Parse(monthLayout, string(m))
	return begin, begin.AddDate(0, 1, 0)
}

// Back is the month n months before.
func (m Month) Back(n int) Month {
	begin, _ := m.bounds()
	return MonthOf(begin.AddDate(0, -n, 0))
}
