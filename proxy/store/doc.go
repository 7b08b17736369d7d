// Package store keeps responses in wire form. It makes no caching decision: package cachepolicy
// decides which variant answers a request, whether it is fresh and how a 304 changes it, and
// package cache acts on that.
//
// [Store] is the interface of every tier; storetest holds the tiers to it. [Memory] is the tier
// within the process. Package shared has the tier of all instances, which keeps entries in the
// encoding of [AppendEntry].
//
// [Epochs] holds the purges that an instance knows. Each Entry carries the Epoch at which its fill
// began, and a lookup compares that Epoch with the purges. A purge therefore deletes nothing. A
// response that was fetched before a purge never outlives it, in any tier and whenever it is
// stored.
package store
