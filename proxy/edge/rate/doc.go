// Package rate limits how often clients may do something. A Limit decides about one client, as a
// function of values. A Table remembers the state of many clients in bounded memory.
package rate
