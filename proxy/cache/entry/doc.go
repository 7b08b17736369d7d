// Package entry makes the entries that the cache stores of responses. It removes the fields that
// are not stored, collects the tags, chooses the codings, joins the parts of a response, and judges
// a stored response again if the route's rules have changed.
//
// All functions are functions of values. The package knows neither stores nor origins nor clients,
// and it writes to an entry only before the entry is stored.
package entry
