package shared

// hints is filled in below.
type hints struct{}
