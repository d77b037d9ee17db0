package reports

import (
	"cmp"
	"slices"
)

// failureGroup counts the failures of an arm that look the same.
type failureGroup struct {
	Arm     string
	Class   string
	Reason  string
	Version string
	Pod     string
	span
}

// failureGroups counts what failed in what way, most frequent first.
func (t *Timeline) failureGroups() []failureGroup {
	type key struct{ arm, class, reason, version, pod string }
	at := map[key]int{}
	var groups []failureGroup
	for _, f := range t.folds {
		for i, k := range f.failures.kinds {
			key := key{f.arm, k.Class, k.Reason, k.Version, k.Pod}
			n, known := at[key]
			if !known {
				n = len(groups)
				at[key] = n
				groups = append(groups, failureGroup{Arm: f.arm, Class: k.Class, Reason: k.Reason, Version: k.Version, Pod: k.Pod})
			}
			groups[n].merge(f.failures.spans[i])
		}
	}
	slices.SortStableFunc(groups, func(a, b failureGroup) int {
		return cmp.Or(-cmp.Compare(a.count, b.count), cmp.Compare(a.first, b.first))
	})
	return groups
}
