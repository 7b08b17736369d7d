package cachepolicy

// Reason names one cause of a decision or verdict. Its String is the word used in Cache-Status details, logs and metrics.
type Reason uint8

const (
	ReasonNone          Reason = iota // nothing to explain
	ReasonMethod                      // the method is neither GET nor HEAD
	ReasonBody                        // a GET or HEAD with content
	ReasonUpgrade                     // the request asks for another protocol
	ReasonAuthorization               // the request has Authorization, which the rules keep away from the cache
)
