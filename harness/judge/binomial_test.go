package judge_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"bitvault.dev/rollproof/harness/judge"
)

// chance is the binomial distribution by its definition, term by term.
func chance(k, n uint64, share float64) float64 {
	ln := func(x uint64) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	return math.Exp(ln(n) - ln(k) - ln(n-k) + float64(k)*math.Log(share) + float64(n-k)*math.Log1p(-share))
}

// The bounds are exact: what lies outside has at most the chance of a false alarm, and one answer more inside would be too many.
func TestBoundsKeepToTheirLevel(t *testing.T) {
	for _, level := range []float64{1e-2, judge.FalseAlarm} {
		for _, share := range []float64{.01, .1, .3, .5, .9} {
			for _, n := range []uint64{1, 50, 576, 1334, 5000} {
				fewest, most := judge.Bounds(n, share, level)
				var below, above float64
				for k := range fewest {
					below += chance(k, n, share)
				}
				for k := most + 1; k <= n; k++ {
					above += chance(k, n, share)
				}
				if half := level / 2; below > half*(1+1e-9) || above > half*(1+1e-9) {
					t.Errorf("n %d, share %v, level %v: %d to %d leave out %v below and %v above", n, share, level, fewest, most, below, above)
				} else if below+chance(fewest, n, share) <= half*(1-1e-9) || above+chance(most, n, share) <= half*(1-1e-9) {
					t.Errorf("n %d, share %v, level %v: %d to %d are wider than they need be", n, share, level, fewest, most)
				}
			}
		}
	}
}

// With as many answers as are asked for, half the share is seen; with fewer it is not.
func TestHalfTheShareIsSeen(t *testing.T) {
	for share, want := range map[float64]uint64{.1: 1227, .3: 336, .5: 163} {
		n := judge.NeededForHalf(share, judge.FalseAlarm)
		if n != want {
			t.Errorf("a share of %v needs %d answers, want %d", share, n, want)
		}
		if short, _ := judge.Bounds(n/2, share, judge.FalseAlarm); short > 0 && judge.AtMost(short-1, n/2, share/2) >= judge.Seen {
			t.Errorf("half as many answers as asked for show half of %v too", share)
		}
		fewest, _ := judge.Bounds(n, share, judge.FalseAlarm)
		var seen float64
		for k := range fewest {
			seen += chance(k, n, share/2)
		}
		if seen < judge.Seen {
			t.Errorf("of %d answers half of %v is seen with chance %v only", n, share, seen)
		}
	}
}

// A night of tests on a router that does as it is told, drawn at a level that chance reaches often enough to be counted.
func TestFalseAlarmsOfANightByChance(t *testing.T) {
	const nights, level = 500, 1e-3
	random := rand.New(rand.NewPCG(12, 12))
	alarms := 0
	fewest, most := judge.Bounds(576, .1, level)
	for range nights {
		for range judge.TestsOfANight {
			var k uint64
			for range 576 {
				if random.Float64() < .1 {
					k++
				}
			}
			if k < fewest || k > most {
				alarms++
			}
		}
	}
	// At most level x tests are expected: 50. Five standard deviations more are no chance.
	if expected := level * nights * judge.TestsOfANight; float64(alarms) > expected+5*math.Sqrt(expected) {
		t.Errorf("%d false alarms in %d nights, at most %v expected", alarms, nights, expected)
	}
}
