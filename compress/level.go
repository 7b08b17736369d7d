package compress

import "github.com/klauspost/compress/zstd"

// levels holds the least, default, streaming maximum, and best level of a coding.
//
// Brotli's levels 10 and 11 look ahead so far that they are of no use to a stream, and run helper goroutines there.
var levels = [codings]struct{ least, usual, stream, best int }{
	Gzip:   {1, 6, 9, 9},
	Brotli: {1, 5, 9, 11},
	Zstd:   {1, 3, 22, 19},
}

// Best returns the level at which a body is compressed once and for all, with time to spare; see [Encode].
func Best(c Coding) int {
	if int(c) >= codings {
		return 0
	}
	return levels[c].best
}

// clampLevel returns the level to use for level: the default for 0, else the nearest that there is.
func clampLevel(c Coding, level, most int) int {
	if level == 0 {
		level = levels[c].usual
	}
	return max(levels[c].least, min(level, most))
}

// poolLevel returns the number of the pool of encoders for a level: zstd has four kinds of encoder for its 22.
func poolLevel(c Coding, level int) int {
	if c == Zstd {
		return int(zstd.EncoderLevelFromZstd(level))
	}
	return level
}
