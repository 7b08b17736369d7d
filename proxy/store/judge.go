package store

// judge decides by which of two rules an object that leaves the window without a use is treated when main is full:
//
//   - by frequency: it is offered to ristretto, which refuses it if it was asked for less often than what it would displace. Best while
//     what is popular stays so, and against scans;
//   - by recency: room is made by evicting what has not been used for longest, so that it is taken. Best when what is popular changes: then
//     frequencies are those of the past, and would keep the new out.
//
// It learns from what comes back soon. Objects that ristretto refused or displaced and that are then asked for again count against frequency, objects
// that were evicted by recency and then asked for again count against recency; the rule with the lower share of regrets is followed. So that both
// shares stay known, in the time of frequency one object in some is taken by recency; in the time of recency, where refusing would cost hits, some
// objects are put on trial instead: taken, and watched for a use.
type judge struct {
	ghosts   []ghost      // by the low bits of the id
	lost     [rules]share // by each of the rules
	clock    int64        // bytes that have entered the window
	unit     int64        // of them is what now counts
	memory   float64
	turn     int
	byRecent bool
}

// ghost remembers an object that has gone.
type ghost struct {
	mark uint32 // the upper half of its id, with the rule by which it was lost in the lowest bits; 0: empty
	at   uint32
}

func ghostOf(id uint64, by rule) uint32 { return uint32(id>>32)&^ruleMask | uint32(by) }

// rule is one by which objects are lost.
type rule uint8

const (
	_ rule = iota
	byUse
	byAge
	rules

	ruleMask = 3
)

// share is how many of those that went came back, the older ones fading.
type share struct{ gone, back float64 }

const (
	soonUnits  = 1 << 12 // of the clock: what comes back within them is a regret
	soonShare  = 4       // what comes back within so much of the size, as its fraction, comes back soon
	fadeShare  = 4       // the fraction of the objects that fit after which what was learnt counts half
	exploreOne = 16      // one in so many is treated by the other rule
)

const ghostCost = 8

// ghostsFor is how many are remembered, a power of two.
func ghostsFor(objects int64) int64 {
	n := int64(1)
	for n < 2*objects {
		n *= 2
	}
	return n
}

func (j *judge) init(size, objects int64) {
	*j = judge{
		ghosts: make([]ghost, ghostsFor(objects)),
		unit:   max(size/soonShare/soonUnits, 1),
		memory: float64(max(objects/fadeShare, 16)),
		// Recency is right while nothing is known of frequencies.
		byRecent: true,
	}
}

// decide says how the next object is treated: by recency or not, and whether it is put on trial.
func (j *judge) decide() (byRecent, trial bool) {
	use, age := &j.lost[byUse], &j.lost[byAge]
	j.byRecent = use.back*(age.gone+1) >= age.back*(use.gone+1)
	j.turn = (j.turn + 1) % exploreOne
	if j.turn != 0 {
		return j.byRecent, false
	}
	return true, j.byRecent
}

// now is the time by the clock. It comes round after a million times what is soon.
func (j *judge) now() uint32 { return uint32(j.clock / j.unit) }

// isSoon reports whether it is soon after at.
func (j *judge) isSoon(at uint32) bool { return j.now()-at < soonUnits }

// remember takes note that an object has gone, as lost by a rule.
func (j *judge) remember(id uint64, by rule) {
	j.ghosts[id&uint64(len(j.ghosts)-1)] = ghost{mark: ghostOf(id, by), at: j.now()}
	j.count(by)
}

func (j *judge) count(by rule) {
	s := &j.lost[by]
	if s.gone++; s.gone > j.memory {
		s.gone /= 2
		s.back /= 2
	}
}

// entered takes note of an object that comes, perhaps again.
func (j *judge) entered(id uint64, cost int64) {
	j.clock += cost
	g := &j.ghosts[id&uint64(len(j.ghosts)-1)]
	by := rule(g.mark & ruleMask)
	if by == 0 || g.mark != ghostOf(id, by) {
		return
	}
	if j.isSoon(g.at) {
		j.lost[by].back++
	}
	g.mark = 0
}

// proved takes note of a use of an object that has been on trial since at.
func (j *judge) proved(at uint32) {
	if j.isSoon(at) {
		j.lost[byUse].back++
	}
}
