package suite

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Shard is one part of several that a list of scenarios is split into, so that machines can share it. The zero value is the whole.
type Shard struct {
	Nth, Of int // 2/4 is the second of four
}

// String is the shard as it is typed.
func (s Shard) String() string {
	if s.Of == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Nth, s.Of)
}

// Set takes a shard as it is typed.
func (s *Shard) Set(text string) error {
	first, second, _ := strings.Cut(text, "/")
	nth, err := strconv.Atoi(first)
	of, err2 := strconv.Atoi(second)
	if err != nil || err2 != nil || nth < 1 || nth > of {
		return fmt.Errorf("want which part of how many, as in 2/4")
	}
	s.Nth, s.Of = nth, of
	return nil
}

// MarshalText writes a shard into a record as it is typed.
func (s Shard) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a shard from a record. Nothing is the whole.
func (s *Shard) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = Shard{}
		return nil
	}
	return s.Set(string(text))
}

// Type names what is typed, in help.
func (*Shard) Type() string { return "N/OF" }

// Positions are those of the list that the shard holds, in their order. The longest is dealt first, each to the shard that has the least
// so far: shards last about as long as each other. The same list is always dealt alike, and each position to exactly one shard.
func (s Shard) Positions(usually []time.Duration) []int {
	all := make([]int, len(usually))
	for i := range all {
		all[i] = i
	}
	if s.Of == 0 {
		return all
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(usually[b], usually[a]) })
	lasts, dealt := make([]time.Duration, s.Of), make([][]int, s.Of)
	for _, i := range all {
		least := 0
		for n := range s.Of {
			if cmp.Or(cmp.Compare(lasts[n], lasts[least]), cmp.Compare(len(dealt[n]), len(dealt[least]))) < 0 {
				least = n
			}
		}
		lasts[least] += usually[i]
		dealt[least] = append(dealt[least], i)
	}
	mine := dealt[s.Nth-1]
	slices.Sort(mine)
	return mine
}
