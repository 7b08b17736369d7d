// Package cost holds the cost account of a running gateway to what an operator is promised of it.
package cost
