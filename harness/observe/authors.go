package observe

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bitvault.dev/rollproof/harness/history"
)

// authors is everybody who wrote what is in an object now, as its managed fields have it.
func authors(u *unstructured.Unstructured) []history.Author {
	var all []history.Author
	for _, entry := range u.GetManagedFields() {
		a := history.Author{Manager: entry.Manager, Operation: string(entry.Operation), Subresource: entry.Subresource}
		if entry.Time != nil {
			a.At = entry.Time.UTC()
		}
		all = append(all, a)
	}
	return all
}

// since is who wrote an object between two looks at it. Times are whole seconds: who wrote twice within one does not show, and then the
// latest are taken.
func since(before, now []history.Author) []history.Author {
	wrote := slices.DeleteFunc(slices.Clone(now), func(a history.Author) bool { return slices.Contains(before, a) })
	if len(wrote) > 0 {
		return wrote
	}
	var latest time.Time
	for _, a := range now {
		if a.At.After(latest) {
			latest = a.At
		}
	}
	return slices.DeleteFunc(slices.Clone(now), func(a history.Author) bool { return !a.At.Equal(latest) })
}
