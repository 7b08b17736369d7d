package cachepolicy

// Reason names one cause of a decision or verdict. Its String is the word used in Cache-Status details, logs and metrics.
type Reason uint8

// ReasonNone is the zero value: nothing to explain.
const ReasonNone Reason = 0
