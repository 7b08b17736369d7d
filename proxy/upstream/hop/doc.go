// Package hop knows what belongs to the hop between the gateway and a target: the fields that end
// at each hop, the fields that every hop adds, how a target's address enters a request, and what a
// request says of its body. It neither reads nor writes messages.
package hop
