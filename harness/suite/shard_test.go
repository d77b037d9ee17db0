package suite

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Every position is in exactly one shard, whatever the durations: a scenario that no shard ran would be missed by nobody.
func TestShardsHoldEverythingOnce(t *testing.T) {
	lists := map[string][]time.Duration{
		"none":          {},
		"one":           {time.Minute},
		"without times": make([]time.Duration, 10),
		"all alike":     {1, 1, 1, 1, 1, 1, 1},
		"one long":      {90, 5, 5, 5, 5, 5, 5, 5},
	}
	for name, usually := range lists {
		for of := 1; of <= 5; of++ {
			t.Run(fmt.Sprintf("%s in %d", name, of), func(t *testing.T) {
				var all []int
				for nth := 1; nth <= of; nth++ {
					mine := Shard{nth, of}.Positions(usually)
					if !slices.IsSorted(mine) || !slices.Equal(mine, Shard{nth, of}.Positions(usually)) {
						t.Errorf("shard %d holds %v: out of order, or another time others", nth, mine)
					}
					all = append(all, mine...)
				}
				slices.Sort(all)
				if whole := (Shard{}).Positions(usually); !slices.Equal(all, whole) {
					t.Errorf("the shards hold %v, want each of %v once", all, whole)
				}
			})
		}
	}
}

func TestShardsLastAlike(t *testing.T) {
	usually := []time.Duration{10, 60, 20, 30, 40}
	if first, second := (Shard{1, 2}).Positions(usually), (Shard{2, 2}).Positions(usually); fmt.Sprint(first, second) != "[1 2] [0 3 4]" {
		t.Errorf("the shards hold %v and %v", first, second)
	}
}

func TestAShardIsTyped(t *testing.T) {
	for _, text := range []string{"", "2", "/", "0/4", "5/4", "-1/4", "a/4", "1/0", "1/2/3", "1 /2"} {
		if err := new(Shard).Set(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	var s Shard
	if err := s.Set("2/4"); err != nil || s != (Shard{2, 4}) || s.String() != "2/4" {
		t.Errorf("2/4 became %+v, error %v", s, err)
	}
}
