package reports

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
)

const (
	maxPods    = 400  // drawn one by one
	maxChanges = 1000 // drawn of one resource
)

// us is a time since the run's start in microseconds: exact enough to be drawn, short enough to be many. A moment that did not come is
// negative.
type us int64

func inUs(d time.Duration) us {
	if d == timeline.Never {
		return -1
	}
	return us(d.Microseconds())
}

// MarshalJSON gives what the chart of the report reads. Times are microseconds since the run's start.
func (t *Timeline) MarshalJSON() ([]byte, error) {
	arms := make([]armData, len(t.folds))
	for i, f := range t.folds {
		arms[i] = f.data(t.control(f.arm))
	}
	pods, beyond := t.drawnPods()
	return json.Marshal(struct {
		End          us            `json:"end"`
		Width        us            `json:"width"`
		Arms         []armData     `json:"arms"`
		Disturbances []disturbance `json:"disturbances"`
		Steps        []step        `json:"steps"`
		Pods         []pod         `json:"pods"`
		PodsBeyond   int           `json:"podsBeyond"`
		Changes      []changes     `json:"changes"`
		Milestones   []milestone   `json:"milestones"`
		Windows      []window      `json:"windows"`
		Ledgers      []ledgerData  `json:"ledgers"`
	}{inUs(t.end), inUs(t.width), arms, t.drawnDisturbances(), t.drawnSteps(), pods, beyond, t.drawnChanges(), t.drawnMilestones(), spans(t.windows), t.drawnLedgers()})
}

// disturbance is one disturbance with the moments of its phases.
type disturbance struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Target   string     `json:"target,omitempty"`
	Injects  string     `json:"injects,omitempty"`
	Began    us         `json:"began"`
	Landed   us         `json:"landed"`
	Healed   us         `json:"healed"`
	Failed   us         `json:"failed"`
	Unhealed bool       `json:"unhealed,omitempty"` // Failed is when healing was given up; else when the disturbance was
	Evidence []evidence `json:"evidence"`
}

type evidence struct {
	At   us     `json:"at"`
	What string `json:"what"`
	Saw  string `json:"saw"`
}

func (t *Timeline) drawnDisturbances() []disturbance {
	var all []disturbance
	for _, d := range t.record.Disturbances {
		drawn := disturbance{ID: d.ID, Name: d.Name, Target: d.Target, Injects: d.Injects, Evidence: []evidence{},
			Began: inUs(d.First()), Landed: inUs(d.Landed), Healed: inUs(d.Healed), Failed: inUs(d.Failed)}
		if d.Unhealed != timeline.Never {
			drawn.Failed, drawn.Unhealed = inUs(d.Unhealed), true
		}
		for _, phase := range d.Phases {
			for _, e := range phase.Evidence {
				drawn.Evidence = append(drawn.Evidence, evidence{inUs(phase.At), shorten(e.What), shorten(e.Saw)})
			}
		}
		all = append(all, drawn)
	}
	return all
}

// step is the share of traffic of a release up to the next step of its workload.
type step struct {
	At    us `json:"at"`
	Until us `json:"until"`
	history.Step
}

func (t *Timeline) drawnSteps() []step {
	var all []step
	for i, s := range t.record.Steps {
		until := t.end
		if next := t.record.StepAfter(i); next != nil {
			until = next.At
		}
		all = append(all, step{inUs(s.At), inUs(until), s.Step})
	}
	return all
}

// pod is the life of one pod: the moments at which its status changed.
type pod struct {
	Name    string     `json:"name"`
	Version string     `json:"version,omitempty"`
	Node    string     `json:"node,omitempty"`
	IP      string     `json:"ip,omitempty"`
	States  []podState `json:"states"`
}

type podState struct {
	At    us                 `json:"at"`
	State timeline.PodStatus `json:"state"`
}

// drawnPods are the first pods, and how many more there were.
func (t *Timeline) drawnPods() (drawn []pod, beyond int) {
	all := t.record.PodsInOrder()
	for _, p := range all[:min(len(all), maxPods)] {
		drawn = append(drawn, drawnPod(p))
	}
	return drawn, len(all) - len(drawn)
}

func drawnPod(p *timeline.Pod) pod {
	one := pod{Name: p.Name, Version: p.Version, Node: p.Node, IP: p.IP}
	for _, s := range p.Statuses {
		one.States = append(one.States, podState{inUs(s.At), s.Status})
	}
	return one
}

// changes are the changes of one resource other than pods, the answers to evictions, or the gaps in what was seen.
type changes struct {
	Resource string   `json:"resource"`
	Marks    []change `json:"marks"`
	Beyond   int      `json:"beyond,omitempty"` // more changes, not drawn
}

type change struct {
	At   us     `json:"at"`
	Type string `json:"type"`
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
}

func (t *Timeline) drawnChanges() []changes {
	var all []changes
	add := func(resource string, c change) {
		i := slices.IndexFunc(all, func(r changes) bool { return r.Resource == resource })
		if i < 0 {
			i, all = len(all), append(all, changes{Resource: resource, Marks: []change{}})
		}
		if len(all[i].Marks) == maxChanges {
			all[i].Beyond++
			return
		}
		c.Name, c.Text = shorten(c.Name), shorten(c.Text)
		all[i].Marks = append(all[i].Marks, c)
	}
	for _, c := range t.record.Changes {
		if c.Pod == nil {
			add(c.Resource, change{inUs(c.At), c.Type, strings.TrimPrefix(c.Namespace+"/"+c.Name, "/"), string(c.Object)})
		}
	}
	for _, e := range t.record.Evictions {
		add("evictions", change{inUs(e.At), e.Answer(), e.Namespace + "/" + e.Pod, e.Message})
	}
	for _, g := range t.record.Gaps {
		text := fmt.Sprintf("from %s to %s: %s", clock(g.From), clock(g.To), g.Why)
		add("gaps in what was seen", change{inUs(g.From), "gap", g.Resource, text})
	}
	return all
}

type milestone struct {
	At   us     `json:"at"`
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
}

func (t *Timeline) drawnMilestones() []milestone {
	var all []milestone
	for _, m := range t.record.Milestones {
		all = append(all, milestone{inUs(m.At), shorten(m.Name), shorten(m.Text)})
	}
	for _, n := range t.record.Notes {
		all = append(all, milestone{inUs(n.At), "note", shorten(n.Text)})
	}
	if end := t.record.End; end != nil {
		all = append(all, milestone{inUs(t.record.Clamp(t.record.Ended)), "end", shorten(end.Reason)})
	}
	slices.SortStableFunc(all, func(a, b milestone) int { return cmp.Compare(a.At, b.At) })
	return all
}

// window is when an arm was under load.
type window struct {
	Arm    string `json:"arm"`
	Begin  us     `json:"begin"`
	Length us     `json:"length"`
}

func spans(windows []history.Window) []window {
	spans := make([]window, len(windows))
	for i, w := range windows {
		spans[i] = window{w.Arm, inUs(w.Begin), inUs(w.Length)}
	}
	return spans
}

// armData is one arm as the chart reads it. Arrays have one value for each bucket; a latency is -1 where no answer was good.
type armData struct {
	Name     string              `json:"name"`
	Control  bool                `json:"control,omitempty"`
	Hits     uint64              `json:"hits"`
	Failed   uint64              `json:"failed"`
	Masked   uint64              `json:"masked"`
	Base     int64               `json:"base"` // bucket i begins at (base+i)*width
	N        []uint32            `json:"n"`
	Bad      []uint32            `json:"bad"`
	Resent   []uint32            `json:"resent"`
	P50      []us                `json:"p50"`
	P99      []us                `json:"p99"`
	Max      []us                `json:"max"`
	Versions map[string][]uint32 `json:"versions"`
	Failures failureData         `json:"failures"`
}

// failureData is a failureLog: Column is base64 of its varints, as encoding/binary writes them.
type failureData struct {
	Kept   int           `json:"kept"`
	Beyond uint64        `json:"beyond,omitempty"`
	Column []byte        `json:"column"`
	Kinds  []failureKind `json:"kinds"`
}

func (f *fold) data(control bool) armData {
	n := len(f.buckets)
	d := armData{
		Name: f.arm, Control: control, Hits: f.hits, Failed: f.failed, Masked: f.masked, Base: f.base,
		N: make([]uint32, n), Bad: make([]uint32, n), Resent: make([]uint32, n),
		P50: make([]us, n), P99: make([]us, n), Max: make([]us, n), Versions: map[string][]uint32{},
		Failures: failureData{f.failures.kept, f.failures.beyond, f.failures.column, f.failures.kinds},
	}
	for slot, version := range f.versions {
		counts := make([]uint32, n)
		for i := range f.buckets {
			counts[i] = f.buckets[i].versions[slot]
		}
		d.Versions[version] = counts
	}
	for i := range f.buckets {
		b := &f.buckets[i]
		d.N[i], d.Bad[i], d.Resent[i] = b.hits, b.failed, b.masked
		d.P50[i], d.P99[i], d.Max[i] = -1, -1, -1
		if p50, ok := b.quantile(0.5); ok {
			p99, _ := b.quantile(0.99)
			d.P50[i], d.P99[i], d.Max[i] = inUs(p50), inUs(p99), inUs(b.max)
		}
	}
	return d
}
