package compress

import "github.com/klauspost/compress/zstd"

// levels holds the lowest, the default, the highest streaming and the best level of each coding.
//
// Brotli's levels 10 and 11 look ahead too far to be useful for a stream, and start helper
// goroutines there.
var levels = [codings]struct{ least, usual, stream, best int }{
	Gzip:   {1, 6, 9, 9},
	Brotli: {1, 5, 9, 11},
	Zstd:   {1, 3, 22, 19},
}

// Best returns the level for a body that is compressed once, without a waiting client; see
// [Encode].
func Best(c Coding) int {
	if int(c) >= codings {
		return 0
	}
	return levels[c].best
}

// clampLevel returns the default level for 0, and otherwise the nearest existing level, at most
// `most`.
func clampLevel(c Coding, level, most int) int {
	if level == 0 {
		level = levels[c].usual
	}
	return max(levels[c].least, min(level, most))
}

// poolLevel returns the index of the encoder pool for a level. zstd has four kinds of encoder for
// its 22 levels.
func poolLevel(c Coding, level int) int {
	if c == Zstd {
		return int(zstd.EncoderLevelFromZstd(level))
	}
	return level
}
