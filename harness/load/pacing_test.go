package load

import (
	"math"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]float64{"300/s": 300, "20/m": 20.0 / 60, "7200/h": 2, "5": 5, "0.5/s": 0.5} {
		if got, err := ParseRate(text); err != nil || math.Abs(got-want) > 1e-9 {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "/s", "fast", "-1/s", "0/s", "5/d", "NaN", "Inf/s", "1e99/s"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

// Whatever the pacing and the number of arms: the arms together send each hit of the whole once, in time, and as many as planned.
func TestDealingKeepsEveryHit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pacing timed = Constant{rapid.Float64Range(0.1, 5000).Draw(t, "rate")}
		if rapid.Bool().Draw(t, "ramp") {
			pacing = Ramp{rapid.SampledFrom([]float64{0, 1e-9, 0.3, 100, 2000}).Draw(t, "from"), rapid.Float64Range(0.1, 3000).Draw(t, "to"),
				time.Duration(rapid.SampledFrom([]int64{1, 1e6, 7e8, 2e9}).Draw(t, "over"))}
		}
		length := time.Duration(rapid.SampledFrom([]int64{1, 999, 1e6, 333333333, 2e9}).Draw(t, "length"))
		every := rapid.Uint64Range(1, 4).Draw(t, "arms")
		var all []time.Duration
		for first := range every {
			f := formula{pacing: pacing, share: share{first, every}, length: length, requests: &fixedSource{requests: []*request{{}}}}
			n := uint64(0)
			for last := time.Duration(-1); ; n++ {
				at, _, err := f.next()
				if err != nil {
					break
				}
				if at < last || at >= length {
					t.Fatalf("hit %d of arm %d is due at %s after %s in a window of %s", n, first, at, last, length)
				}
				last = at
				all = append(all, at)
			}
			if planned := dueBefore(pacing, length, first, every); planned != n {
				t.Fatalf("arm %d plans %d and yields %d", first, planned, n)
			}
		}
		sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
		for j, at := range all {
			if want := pacing.at(uint64(j)); at != want {
				t.Fatalf("hit %d is due at %s, want %s", j, at, want)
			}
		}
	})
}

func TestRampHasTheRatesItNames(t *testing.T) {
	r := Ramp{From: 100, To: 300, Over: 10 * time.Second}
	count := func(from, to time.Duration) float64 {
		return float64(dueBefore(r, to, 0, 1) - dueBefore(r, from, 0, 1))
	}
	for _, c := range []struct {
		from, to time.Duration
		want     float64
	}{{0, 10 * time.Second, 2000}, {0, time.Second, 110}, {9 * time.Second, 10 * time.Second, 290}, {20 * time.Second, 21 * time.Second, 300}} {
		if got := count(c.from, c.to); math.Abs(got-c.want) > 1 {
			t.Errorf("%v hits between %s and %s, want %v", got, c.from, c.to, c.want)
		}
	}
}

func TestLagQuantilesHaveThreeFigures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lags := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Minute)), 1, 200).Draw(t, "lags")
		q := rapid.Float64Range(0.01, 1).Draw(t, "q")
		var l lagHistogram
		for _, lag := range lags {
			l.add(time.Duration(lag))
		}
		sort.Slice(lags, func(i, j int) bool { return lags[i] < lags[j] })
		exact := time.Duration(lags[int(math.Ceil(q*float64(len(lags))))-1])
		got := l.quantile(q)
		if got < exact || float64(got) > float64(exact)*1.001+2000 {
			t.Fatalf("quantile %v is %s, want %s or up to a thousandth more", q, got, exact)
		}
	})
}
