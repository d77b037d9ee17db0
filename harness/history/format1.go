package history

import "strings"

// outcomeOfFormat1 reads the outcome off the reason of an end of format 1, which records no outcome: "finished", or in words why the run
// ended before its plan. Nothing else reads it off words.
func outcomeOfFormat1(reason string) Outcome {
	switch {
	case reason == "finished":
		return EndFinished
	case reason == "interrupted":
		return EndInterrupted
	case strings.HasPrefix(reason, "wait for ") && strings.Contains(reason, ": not within "):
		return EndTimedOut
	}
	return EndFailed
}
