package suite

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Part is a run of a suite, and the shard that performed it.
type Part struct {
	Run
	Of *Suite
}

// LastParts are the parts that count: without those in whose place another stands.
func LastParts(parts []Part) []Part { return last(parts, func(p Part) int { return p.Position }) }

// Whole puts the shards of one suite together: every run, in the order of the suite's whole list. Shards on different terms are refused, and
// so is a shard that is missing or there twice, a list with a gap, and a record that stands for two runs.
func Whole(shards []*Suite) ([]Part, error) {
	if len(shards) == 0 {
		return nil, errors.New("there is no suite to put together")
	}
	shards = slices.SortedStableFunc(slices.Values(shards), func(a, b *Suite) int { return cmp.Compare(a.Shard.Nth, b.Shard.Nth) })
	for _, s := range shards[1:] {
		if err := alike(shards[0], s); err != nil {
			return nil, err
		}
	}
	if err := complete(shards); err != nil {
		return nil, err
	}
	if err := sameImages(shards); err != nil {
		return nil, err
	}
	return union(shards)
}

// alike says what two shards do not share.
func alike(a, b *Suite) error {
	if a.Command != b.Command {
		return fmt.Errorf("%s is of `rollproof %s`, %s of `rollproof %s`: put one kind together at a time", a.dir, a.Command, b.dir, b.Command)
	}
	if what, one, other := a.Terms.differ(&b.Terms); what != "" {
		return fmt.Errorf("%s has %s %s, %s has %s: all shards must be of one suite; perform the odd one anew", a.dir, what, one, b.dir, other)
	}
	return nil
}

// differ names what differs between two terms, images apart, and how each of them has it. what is empty where nothing differs.
func (t *Terms) differ(o *Terms) (what, one, other string) {
	switch {
	case !t.Build.same(o.Build):
		return "the build", t.Build.String(), o.Build.String()
	case t.Pace != o.Pace:
		return "the pace", t.Pace, o.Pace
	case t.Rate != o.Rate:
		return "the rate", fmt.Sprintf("%g/s", t.Rate), fmt.Sprintf("%g/s", o.Rate)
	case t.Repeat != o.Repeat:
		return "--repeat", fmt.Sprint(t.Repeat), fmt.Sprint(o.Repeat)
	case t.Again != o.Again:
		return "--again", fmt.Sprint(t.Again), fmt.Sprint(o.Again)
	case t.Cluster != o.Cluster:
		return "the cluster configuration", fmt.Sprintf("%.12s", t.Cluster), fmt.Sprintf("%.12s", o.Cluster)
	}
	for i := range max(len(t.Asked), len(o.Asked)) {
		if a, b := nameAt(t.Asked, i), nameAt(o.Asked, i); a != b {
			return fmt.Sprintf("as number %d of its list", i+1), a, b
		}
	}
	return "", "", ""
}

func nameAt(list []Asked, i int) string {
	if i < len(list) {
		return list[i].String()
	}
	return "nothing"
}

// complete says which shard is missing, or there twice.
func complete(shards []*Suite) error {
	of := shards[0].Shard.Of
	seen := map[int]*Suite{}
	for _, s := range shards {
		if s.Shard.Of != of {
			return fmt.Errorf("%s is %s, %s is %s: all shards must be of one suite", shards[0].dir, shards[0].part(), s.dir, s.part())
		}
		if first := seen[s.Shard.Nth]; first != nil {
			return fmt.Errorf("%s is there twice: %s and %s: name the one that counts", s.part(), first.dir, s.dir)
		}
		seen[s.Shard.Nth] = s
	}
	var missing []string
	for nth := 1; nth <= of; nth++ {
		if seen[nth] == nil {
			missing = append(missing, fmt.Sprintf("%d/%d", nth, of))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("shard %s is missing: name its directory too, or perform it with --shard", strings.Join(missing, ", "))
	}
	return nil
}

// part names which part of the whole a suite is.
func (s *Suite) part() string {
	if s.Shard.Of == 0 {
		return "the whole suite"
	}
	return "shard " + s.Shard.String()
}

// sameImages says which image two shards had different contents of.
func sameImages(shards []*Suite) error {
	first := map[string]*Suite{}
	for _, s := range shards {
		for _, name := range slices.Sorted(maps.Keys(s.Images)) {
			o := first[name]
			if o == nil {
				first[name] = s
			} else if o.Images[name] != s.Images[name] {
				return fmt.Errorf("image %s has digest %s in %s and %s in %s: give all shards the same images (`rollproof images save` once, `images load` on each), and perform the odd one anew",
					name, o.Images[name], o.dir, s.Images[name], s.dir)
			}
		}
	}
	return nil
}

// union is all runs by position, each position in exactly one shard, and each record of exactly one run.
func union(shards []*Suite) ([]Part, error) {
	var all []Part
	at := map[int]*Suite{}
	records := map[string]Part{}
	for _, s := range shards {
		if len(s.Runs) == 0 {
			return nil, fmt.Errorf("%s in %s holds no run: perform it anew", s.part(), s.dir)
		}
		for _, r := range s.Runs {
			if o := at[r.Position]; o != nil && o != s {
				return nil, fmt.Errorf("%s is in both %s and %s: they are not the shards of one suite", s.asked(r.Position), o.dir, s.dir)
			}
			at[r.Position] = s
			if first, twice := records[r.Record]; twice && r.Record != "" {
				return nil, fmt.Errorf("the record %s stands for two runs, also for %s: perform the suite anew", s.RecordOf(r), first.Of.RecordOf(first.Run))
			}
			records[r.Record] = Part{r, s}
			all = append(all, Part{r, s})
		}
	}
	terms := &shards[0].Terms
	for p := range terms.size() {
		if at[p] == nil {
			return nil, fmt.Errorf("%s, number %d of the list, is in none of the shards: perform the suite anew", terms.asked(p), p+1)
		}
	}
	slices.SortStableFunc(all, func(a, b Part) int { return cmp.Compare(a.Position, b.Position) })
	return all, nil
}

// GoesOn checks that what a command means is the suite that it goes on with: the same terms, with the same build, and the same runs.
func (s *Suite) GoesOn(meant *Suite) error {
	if what, was, is := s.Terms.differ(&meant.Terms); what != "" {
		return fmt.Errorf("go on with the suite in %s: it has %s %s, and this would be %s: start a suite of its own, without --resume", s.dir, what, was, is)
	}
	if s.Shard != meant.Shard {
		return fmt.Errorf("go on with the suite in %s: it is %s, and this would be %s: start a suite of its own, without --resume", s.dir, s.part(), meant.part())
	}
	positions := func(s *Suite) (all []int) {
		for _, r := range s.Runs {
			all = append(all, r.Position)
		}
		return slices.Compact(all)
	}
	if !slices.Equal(positions(s), positions(meant)) {
		return fmt.Errorf("go on with the suite in %s: its list is not the one that this rollproof would perform: start a suite of its own, without --resume", s.dir)
	}
	return nil
}

// Use notes the digests of the images that the runs are performed with from now on. One that is not what the runs before had is an error.
func (s *Suite) Use(images map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(images)) {
		if was := s.Images[name]; was != "" && was != images[name] {
			return fmt.Errorf("go on with the suite in %s: image %s had digest %s and has %s now: bring the old images back, or start a suite of its own, without --resume",
				s.dir, name, was, images[name])
		}
	}
	if s.Images == nil {
		s.Images = map[string]string{}
	}
	maps.Copy(s.Images, images)
	return nil
}
