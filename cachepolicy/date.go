package cachepolicy

import (
	"strings"
	"time"
)

const (
	dayNames   = "sunmontuewedthufrisat"
	monthNames = "janfebmaraprmayjunjulaugsepoctnovdec"
)

var weekdays = [...]string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// parseDate reads an HTTP-date in exactly one of its three formats (RFC 9110 §5.6.7): fixed widths,
// one space, GMT. A cache ignores the case of letters (RFC 9111 §4.2). The day must be the name of
// a weekday, but parseDate does not check it against the date. If the year has two digits, now
// determines the century.
func parseDate(s string, now time.Time) (time.Time, bool) {
	if len(s) > len("Wednesday, 00-Jan-00 00:00:00 GMT") || len(s) < len("Jan  1 00:00:00 2000") {
		return time.Time{}, false
	}
	name, rest, comma := strings.Cut(s, ",")
	switch {
	case !comma:
		return parseAsctime(s)
	case len(name) == 3:
		return parseFixdate(name, rest)
	default:
		return parseRFC850(name, rest, now)
	}
}

// parseFixdate reads "Sun, 06 Nov 1994 08:49:37 GMT".
func parseFixdate(name, rest string) (time.Time, bool) {
	if len(rest) != len(" 06 Nov 1994 08:49:37 GMT") || !isDay(name) {
		return time.Time{}, false
	}
	if rest[0] != ' ' || rest[3] != ' ' || rest[7] != ' ' || rest[12] != ' ' || !equalFold(rest[21:], " GMT") {
		return time.Time{}, false
	}
	return makeDate(rest[8:12], rest[4:7], rest[1:3], rest[13:21])
}

// parseRFC850 reads "Sunday, 06-Nov-94 08:49:37 GMT".
func parseRFC850(name, rest string, now time.Time) (time.Time, bool) {
	if len(rest) != len(" 06-Nov-94 08:49:37 GMT") || !isWeekday(name) {
		return time.Time{}, false
	}
	if rest[0] != ' ' || rest[3] != '-' || rest[7] != '-' || rest[10] != ' ' || !equalFold(rest[19:], " GMT") {
		return time.Time{}, false
	}
	yy, ok := digits(rest[8:10])
	if !ok {
		return time.Time{}, false
	}
	t, ok := makeDateIn(now.Year()/100*100+yy, rest[4:7], rest[1:3], rest[11:19])
	// RFC 9110 §5.6.7: a date more than 50 years in the future means the most recent year in the
	// past with these two digits.
	if ok && t.After(now.AddDate(50, 0, 0)) {
		t = t.AddDate(-100, 0, 0)
	}
	return t, ok
}

// parseAsctime reads "Sun Nov 6 08:49:37 1994".
func parseAsctime(s string) (time.Time, bool) {
	if len(s) != len("Sun Nov  6 08:49:37 1994") || !isDay(s[:3]) {
		return time.Time{}, false
	}
	if s[3] != ' ' || s[7] != ' ' || s[10] != ' ' || s[19] != ' ' {
		return time.Time{}, false
	}
	day := s[8:10]
	if day[0] == ' ' {
		day = day[1:]
	}
	return makeDate(s[20:], s[4:7], day, s[11:19])
}

func makeDate(year, month, day, clock string) (time.Time, bool) {
	y, ok := digits(year)
	if !ok {
		return time.Time{}, false
	}
	return makeDateIn(y, month, day, clock)
}

// makeDateIn builds the time from its parts. It reports false for a day that the month does not
// have. It accepts second 60, a leap second.
func makeDateIn(year int, month, day, clock string) (time.Time, bool) {
	m := index3(monthNames, month)
	d, okDay := digits(day)
	hour, okHour := digits(clock[:2])
	minute, okMin := digits(clock[3:5])
	second, okSec := digits(clock[6:8])
	if m < 0 || !okDay || !okHour || !okMin || !okSec || clock[2] != ':' || clock[5] != ':' || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	midnight := time.Date(year, time.Month(m+1), d, 0, 0, 0, 0, time.UTC)
	if d == 0 || midnight.Day() != d {
		return time.Time{}, false
	}
	return midnight.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second), true
}

func isDay(s string) bool { return index3(dayNames, s) >= 0 }

func isWeekday(s string) bool {
	for _, w := range weekdays {
		if equalFold(s, w) {
			return true
		}
	}
	return false
}

// index3 returns the index of a three-letter name in a table of such names, or -1. It ignores case.
func index3(table, name string) int {
	for i := 0; i < len(table); i += 3 {
		if equalFold(table[i:i+3], name) {
			return i / 3
		}
	}
	return -1
}

func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int(d)
	}
	return n, s != ""
}

// equalFold compares two names and ignores the case of ASCII letters only, as HTTP does everywhere.
func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		if lowerByte(s[i]) != lowerByte(lower[i]) {
			return false
		}
	}
	return true
}
