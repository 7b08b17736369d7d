// Package store keeps responses in wire form. It decides nothing about their reuse: which variant answers a request, whether it is fresh and what
// an origin's answer changes are for cachepolicy to say and for the cache to do.
//
// [Store] is what every tier offers; storetest holds them to it. [Memory] is the tier within the process.
package store
