// Package route finds the route of a request by its host, path and method. It knows which requests
// each route matches. It does not know how a route handles them.
package route
