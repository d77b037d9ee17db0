package load

// generatorNice is how much a generator wants to come before what it measures: about ten times the share of a process of normal priority,
// and not so much that a generator asked for too much would starve the machine.
const generatorNice = -10

// raisePriority gives this process, and the session it belongs to, the generator's priority until restore is called. It says which nice value
// the process has then: 0 is normal, and less needs root or CAP_SYS_NICE.
func raisePriority() (nice int, restore func()) {
	before := niceness()
	if !renice(generatorNice) {
		return before, func() {}
	}
	session, ok := reniceSession(generatorNice)
	return generatorNice, func() {
		renice(before)
		if ok {
			reniceSession(session)
		}
	}
}
