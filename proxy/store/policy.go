package store

// policy chooses one of two rules for an object that leaves the window without a use while main is
// full:
//
//   - By frequency: the object is offered to ristretto, which refuses it if it was requested less
//     often than the objects that it would displace. This is best while popularity is stable, and
//     against scans.
//   - By recency: the least recently used objects are evicted, so that ristretto has room and
//     admits the object. This is best when popularity changes, because then frequencies describe
//     the past and keep new objects out.
//
// The policy learns from regrets, objects that are requested again soon after they were lost. An
// object that ristretto refused or displaced counts against frequency, and an object that was
// evicted by recency counts against recency. The policy follows the rule with the lower share of
// regrets.
//
// To keep both shares up to date, it treats one object in exploreOne by the other rule. If recency
// leads, refusing that object would cost hits, so the policy admits it on probation instead and
// watches for a use.
type policy struct {
	ghosts        []ghost        // by the low bits of the id
	losses        [rules]outcome // by rule
	clock         int64          // bytes that have entered the window
	unit          int64          // bytes of the clock in one tick of now
	memory        float64
	turn          int
	preferRecency bool
}

// ghost remembers an object that was lost.
type ghost struct {
	mark uint32 // upper half of the id, with the rule that lost the object in the lowest bits; 0 if empty
	at   uint32
}

func ghostOf(id uint64, by rule) uint32 { return uint32(id>>32)&^ruleMask | uint32(by) }

// rule is the reason for which an object was lost.
type rule uint8

const (
	_ rule = iota
	byFrequency
	byRecency
	rules

	ruleMask = 3
)

// outcome counts the objects that a rule lost and those that were requested again soon. Older
// counts fade.
type outcome struct{ lost, returned float64 }

const (
	soonUnits  = 1 << 12 // ticks within which a returning object counts as a regret
	soonShare  = 4       // divisor: soonUnits ticks make up this fraction of the size
	fadeShare  = 4       // divisor: after this fraction of the objects that fit, a count is halved
	exploreOne = 16      // one object in this many is treated by the other rule
)

const ghostCost = 8

// ghostsFor returns the number of ghosts, a power of two.
func ghostsFor(objects int64) int64 {
	n := int64(1)
	for n < 2*objects {
		n *= 2
	}
	return n
}

func (j *policy) init(size, objects int64) {
	*j = policy{
		ghosts: make([]ghost, ghostsFor(objects)),
		unit:   max(size/soonShare/soonUnits, 1),
		memory: float64(max(objects/fadeShare, 16)),
		// Prefer recency as long as no frequencies are known.
		preferRecency: true,
	}
}

// decide returns the rule for the next object: whether recency applies, and whether the object is
// on probation.
func (j *policy) decide() (preferRecency, probation bool) {
	use, age := &j.losses[byFrequency], &j.losses[byRecency]
	j.preferRecency = use.returned*(age.lost+1) >= age.returned*(use.lost+1)
	j.turn = (j.turn + 1) % exploreOne
	if j.turn != 0 {
		return j.preferRecency, false
	}
	return true, j.preferRecency
}

// now returns the time by the policy's clock. It wraps around after a million times soonUnits.
func (j *policy) now() uint32 { return uint32(j.clock / j.unit) }

// isSoon reports whether it is soon after at.
// isSoon reports whether now is at most soonUnits after at.
func (j *policy) isSoon(at uint32) bool { return j.now()-at < soonUnits }

// recordLoss records that a rule lost an object.
func (j *policy) recordLoss(id uint64, by rule) {
	j.ghosts[id&uint64(len(j.ghosts)-1)] = ghost{mark: ghostOf(id, by), at: j.now()}
	j.count(by)
}

func (j *policy) count(by rule) {
	s := &j.losses[by]
	if s.lost++; s.lost > j.memory {
		s.lost /= 2
		s.returned /= 2
	}
}

// recordArrival records an object that enters the window, and counts a regret if it was lost a
// short time ago.
func (j *policy) recordArrival(id uint64, cost int64) {
	j.clock += cost
	g := &j.ghosts[id&uint64(len(j.ghosts)-1)]
	by := rule(g.mark & ruleMask)
	if by == 0 || g.mark != ghostOf(id, by) {
		return
	}
	if j.isSoon(g.at) {
		j.losses[by].returned++
	}
	g.mark = 0
}

// usedOnProbation counts a regret against frequency if an object was used soon after its probation
// began at at.
func (j *policy) usedOnProbation(at uint32) {
	if j.isSoon(at) {
		j.losses[byFrequency].returned++
	}
}
