//go:build !unix

package cost

import "os"

// lockFile locks nothing on these systems: the operator must give each gateway a file of its own.
func lockFile(*os.File) error { return nil }
