//go:build !unix

package file

import "os"

// lock does nothing: on this system the library alone locks the file.
func lock(*os.File) (taken bool, err error) { return false, nil }

func unlock(*os.File) error { return nil }
