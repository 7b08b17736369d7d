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
	ghosts   []ghost // by the low bits of the id
	byUse    share   // lost by frequency
	byAge    share   // lost by recency
	clock    int64   // bytes that have entered the window
	soon     int64   // in such bytes: what comes back within them is a regret
	memory   float64
	turn     int
	byRecent bool
}

// ghost remembers an object that has gone.
type ghost struct {
	id    uint64
	at    int64
	share *share // nil: empty
}

// share is how many of those that went came back, the older ones fading.
type share struct{ gone, back float64 }

const (
	soonShare  = 4  // what comes back within so much of the size, as its fraction, comes back soon
	fadeShare  = 4  // the fraction of the objects that fit after which what was learnt counts half
	exploreOne = 16 // one in so many is treated by the other rule
)

func (j *judge) init(size, objects int64) {
	n := int64(1)
	for n < 2*objects {
		n *= 2
	}
	*j = judge{
		ghosts: make([]ghost, n),
		soon:   size / soonShare,
		memory: float64(max(objects/fadeShare, 16)),
		// Recency is right while nothing is known of frequencies.
		byRecent: true,
	}
}

// decide says how the next object is treated: by recency or not, and whether it is put on trial.
func (j *judge) decide() (byRecent, trial bool) {
	j.byRecent = j.byUse.back*(j.byAge.gone+1) >= j.byAge.back*(j.byUse.gone+1)
	j.turn = (j.turn + 1) % exploreOne
	if j.turn != 0 {
		return j.byRecent, false
	}
	return true, j.byRecent
}

// remember takes note that an object has gone, as lost by the rule that s is of.
func (j *judge) remember(id uint64, s *share) {
	j.ghosts[id&uint64(len(j.ghosts)-1)] = ghost{id: id, at: j.clock, share: s}
	j.count(s)
}

func (j *judge) count(s *share) {
	if s.gone++; s.gone > j.memory {
		s.gone /= 2
		s.back /= 2
	}
}

// entered takes note of an object that comes, perhaps again.
func (j *judge) entered(id uint64, cost int64) {
	j.clock += cost
	g := &j.ghosts[id&uint64(len(j.ghosts)-1)]
	if g.share == nil || g.id != id {
		return
	}
	if j.clock-g.at < j.soon {
		g.share.back++
	}
	g.share = nil
}

// proved takes note of a use of an object that has been on trial since at.
func (j *judge) proved(at int64) {
	if j.clock-at < j.soon {
		j.byUse.back++
	}
}
