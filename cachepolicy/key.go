package cachepolicy

// Key addresses all that is stored for one target URI on one route. Hash is the address, Full the injective, length-prefixed
// encoding it was made from, which is compared on every hit.
type Key struct {
	Hash [16]byte
	Full string
}
