package judge

import (
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
)

// Check is one promise and the way a record is judged by it.
type Check struct {
	Slug    string // as in requirements: area.promise
	Promise string // what is promised, in words
	Doc     Doc
	// Optional makes a check whose needs are unmet skipped, with the reason. Without it the promise was asked for, and missing
	// evidence is inconclusive.
	Optional bool
	Needs    []Need
	// Always puts the check into every result, asked for or not. It is Optional where nobody asked.
	Always bool
	// Whole makes it the check that the record is whole: unless it passes, no other check does, and its own pass says nothing of the product.
	Whole bool
	// Unsaid names what the check needs to know and the scenario did not say; each completes "the scenario does not say". With one of
	// them it cannot judge.
	Unsaid []string
	// Rests names the resources, as in history.Change, whose watches the check takes for complete. A gap in one of them makes
	// it inconclusive; During is the time that counts, that of the load when nil.
	Rests  []string
	During func(*timeline.Timeline) timeline.Span
	Late   time.Duration // by how much changes may be recorded late all the same, when none was lost
	// New starts judging one record. It is called when every event was read and no hit yet.
	New func(*timeline.Timeline) Fold
}

func (c *Check) during(t *timeline.Timeline) timeline.Span {
	if c.During == nil {
		return timeline.UnderLoad(t)
	}
	return c.During(t)
}

// Doc says for people what a check is worth, in Markdown. docs/checks.md is made of it.
type Doc struct {
	Proves       string // what a pass shows, and by what evidence
	Cannot       string // what it does not see: completes "it cannot"
	Excepts      string // what speaks against the promise and does not count; empty where there is nothing
	Fails        string // what turns it red; empty where nothing does
	Inconclusive string // what turns it inconclusive
	Budgets      []any  // the values that hold its limits: structs whose fields have a comment, with their defaults
}

// Need is something a record must hold before a check can say anything.
type Need struct {
	What string // e.g. "a disturbance that began"
	Met  func(*timeline.Timeline) bool
}

// Fold judges one promise. One that needs more than the Timeline is an EventFold, a HitFolder, or both.
type Fold interface {
	// Result is called once, when all events and all hits of all arms were folded. Slug, Text and, with Findings, order and bounds are
	// filled in by Run.
	Result() Promise
}

// HitFolder is a Fold that looks at hits.
type HitFolder interface {
	// Arm starts folding the hits of one arm, or returns nil when the check does not look at them. Arms are folded side by
	// side: what Arm returns must share nothing that changes with that of another arm.
	Arm(*timeline.Arm) HitFold
}

// HitFold takes the hits of one arm in the order they ended in. A hit is valid during the call only.
type HitFold interface {
	Hit(*history.Hit)
}

// EventFold is a Fold that needs more of the events than the Timeline holds, such as the objects of changes, or evictions. It takes
// all of them, in the order they were recorded, before the first hit. An event is valid during the call only.
type EventFold interface {
	Event(*history.Event)
}
