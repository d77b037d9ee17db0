//go:build !unix

package load

// filesLimit is how many files this process may have open; 0 when that cannot be told.
func filesLimit() int { return 0 }
