// Package advice finds what a gateway's configuration could do better, by what its traffic shows.
//
// A [Collector] is told of requests and keeps sketches of them, whose size is bounded by the configuration and not by clients: how many URLs, which query
// parameters, which sizes, types and codings, what kept responses out of the cache, which requests came in bursts. A [Ghost] estimates what the memory
// tier would hit if it were half or double its size. [Advise] is a function of that evidence: it reads no clock and no configuration beyond what it is given.
package advice
