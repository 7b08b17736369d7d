// Package store keeps responses in wire form. It decides nothing about their reuse: which variant answers a request, whether it is fresh and what
// an origin's answer changes are for cachepolicy to say and for the cache to do.
//
// [Store] is what every tier offers; storetest holds them to it. [Memory] is the tier within the process; package shared has the one of all instances,
// which keeps entries in the encoding of [AppendEntry].
//
// [Epochs] is what an instance knows of the history of purges. Each Entry carries the Epoch at which its fill began, and by that it is judged when it is
// looked up: a purge deletes nothing, and nothing that was fetched before it outlives it, in whatever tier and whenever it is stored.
package store
