package cachepolicy

// Vary is an opaque, canonical encoding of the field names a response varies on and the normalised values its request had
// (RFC 9111 §4.1). Equal strings select the same variant. The empty Vary matches every request.
type Vary string
