//go:build !linux

package load

func niceness() int { return 0 }

// renice changes nothing here: the generator runs at normal priority, and its record says so.
func renice(int) bool { return false }

func reniceSession(int) (before int, ok bool) { return 0, false }
