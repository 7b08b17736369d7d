// Package advice derives advice on the configuration from a gateway's traffic.
//
// A [Collector] records requests and keeps sketches of them. The configuration, not the clients,
// bounds their size. They hold the number of URLs, query parameters, sizes, types and codings, the
// reasons why responses were not cached, and bursts of requests. A [Ghost] estimates the hit ratio
// of the memory tier at half and double its size. [Advise] is a function of this evidence: it reads
// no clock and no configuration except its arguments.
package advice
