package judge

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/mathext"
)

// FalseAlarm is how often a test that counts answers may speak against a router that does as it was told, by chance alone. A night of at
// most TestsOfANight such tests then has a false alarm at most once in 10 000 nights; docs/false-alarms.md counts them.
const (
	FalseAlarm    = 1e-6
	TestsOfANight = 100
)

// Seen is how surely a test must see what it claims to see.
const Seen = 0.95

// AtMost is the chance that of n answers, each of them the canary's with chance share (0 to 1), at most k are: the exact binomial distribution.
func AtMost(k, n uint64, share float64) float64 {
	if k >= n {
		return 1
	}
	return mathext.RegIncBeta(float64(n-k), float64(k)+1, 1-share)
}

// AtLeast is the chance that at least k are.
func AtLeast(k, n uint64, share float64) float64 {
	switch {
	case k == 0:
		return 1
	case k > n:
		return 0
	}
	return mathext.RegIncBeta(float64(k), float64(n-k)+1, share)
}

// Bounds are the fewest and the most answers of n that a share explains: fewer come with a chance below half of level, and more too.
func Bounds(n uint64, share, level float64) (fewest, most uint64) {
	fewest = uint64(sort.Search(int(n), func(k int) bool { return AtMost(uint64(k), n, share) >= level/2 }))
	most = n - uint64(sort.Search(int(n), func(k int) bool { return AtLeast(n-uint64(k), n, share) >= level/2 }))
	return fewest, most
}

// NeededForHalf is how many answers it takes to see, with the chance Seen, that a share is half as large as it should be.
func NeededForHalf(share, level float64) uint64 {
	sees := func(n int) bool {
		fewest, _ := Bounds(uint64(n), share, level)
		return fewest > 0 && AtMost(fewest-1, uint64(n), share/2) >= Seen
	}
	most := 1
	for !sees(most) && most < math.MaxInt32 {
		most *= 2
	}
	return uint64(sort.Search(most, sees))
}

// SeenAbove is the smallest share of n answers that is more than most of them with the chance Seen.
func SeenAbove(most, n uint64) float64 {
	const steps = 10_000
	return float64(sort.Search(steps, func(i int) bool { return AtLeast(most+1, n, float64(i)/steps) >= Seen })) / steps
}
