// Package files holds values that are read from files, and read again when the files change. It
// does not know the meaning of the values.
package files
