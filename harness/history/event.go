package history

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Kind is the type of an event. Readers skip kinds they do not know, so that a newer harness's notes do not stop them.
type Kind string

// The kinds of events; each names the field of Event that holds its data.
const (
	KindRun         Kind = "run"         // first line: Format and the run's id
	KindWindow      Kind = "window"      // a load window of one arm began or ended
	KindBatch       Kind = "batch"       // hits up to here are on disk
	KindLedger      Kind = "ledger"      // a ledger of acknowledged writes began or ended
	KindBlock       Kind = "block"       // lines of a ledger up to here are on disk
	KindChange      Kind = "change"      // a Kubernetes object changed
	KindGap         Kind = "gap"         // changes of a resource were not, or not in time, seen
	KindEviction    Kind = "eviction"    // the API server answered an eviction
	KindStep        Kind = "step"        // the share of traffic a release should get changed
	KindDisturbance Kind = "disturbance" // a fault or release began, landed, healed or failed
	KindMilestone   Kind = "milestone"   // a named moment of the run
	KindNote        Kind = "note"        // something worth telling that nothing judges
	KindEnd         Kind = "end"         // last line of a run that ended by itself
)

// Event is one line of events.jsonl. Exactly the field named by Kind is set. In the file each line ends with a member more, its sum.
type Event struct {
	At   time.Duration `json:"at"`   // nanoseconds since the run's start, monotonic
	Wall time.Time     `json:"wall"` // the same moment on the wall clock
	Kind Kind          `json:"kind"`

	Run         *Header      `json:"run,omitempty"`
	Window      *Window      `json:"window,omitempty"`
	Batch       *Batch       `json:"batch,omitempty"`
	Ledger      *Ledger      `json:"ledger,omitempty"`
	Block       *Block       `json:"block,omitempty"`
	Change      *Change      `json:"change,omitempty"`
	Gap         *Gap         `json:"gap,omitempty"`
	Eviction    *Eviction    `json:"eviction,omitempty"`
	Step        *Step        `json:"step,omitempty"`
	Disturbance *Disturbance `json:"disturbance,omitempty"`
	Milestone   *Milestone   `json:"milestone,omitempty"`
	Note        *Note        `json:"note,omitempty"`
	End         *End         `json:"end,omitempty"`
}

// Header opens events.jsonl. It repeats all of run.json, so that what the run was made to judge is part of what the sums of the events
// vouch for, and is known when run.json is lost. In format 1 it holds only Format, ID and Started.
type Header struct {
	Run
	File string `json:"file,omitempty"` // SHA-256 of run.json, in hexadecimal
}

// Window is one uninterrupted load of one arm by one attacker. It is recorded when it begins (Ended false) and again when
// it ends, then with what was really sent and how the generator fared.
type Window struct {
	Arm       string        `json:"arm"`
	Index     int           `json:"index"` // 1 for the first window of the run; hits refer to it
	Ended     bool          `json:"ended,omitempty"`
	Control   bool          `json:"control,omitempty"` // the arm goes to a responder that nothing disturbs
	Path      bool          `json:"path,omitempty"`    // of a control arm: it ends at Node, before anything of the stack
	Node      string        `json:"node,omitempty"`    // with Path: the node that answers
	Workload  Workload      `json:"workload,omitzero"` // whose answers the arm gets; none where nobody said
	Targets   []string      `json:"targets,omitempty"`
	KeepAlive bool          `json:"keepAlive,omitempty"`
	Pacing    string        `json:"pacing,omitempty"`    // for people: "constant 300/s", "recorded x2"
	Rate      float64       `json:"rate,omitempty"`      // intended hits per second, averaged over the window
	Begin     time.Duration `json:"begin"`               // intended time of the first hit
	Length    time.Duration `json:"length"`              // planned length
	Planned   uint64        `json:"planned"`             // hits intended
	Deadline  time.Duration `json:"deadline"`            // of one hit
	Sent      uint64        `json:"sent,omitempty"`      // hits that were started; Planned - Sent were missed
	Health    *Health       `json:"health,omitempty"`    // with Ended
	Protocols []string      `json:"protocols,omitempty"` // with Ended: that answers came in, e.g. HTTP/1.1
	// Late, with Ended, counts connections over which bytes came after an answer was whole: it is longer than it said, or one that nobody
	// asked for.
	Late uint64 `json:"late,omitempty"`
}

// Health is how the load generator itself fared during a window. A starved generator proves nothing.
type Health struct {
	LagP50  time.Duration `json:"lagP50"` // start lag: real start minus intended start
	LagP99  time.Duration `json:"lagP99"`
	LagMax  time.Duration `json:"lagMax"`
	Workers uint64        `json:"workers,omitempty"` // most at once
	// StallMax is the longest time the whole process did not run, seen by a ticker of its own: a paused or starved process.
	StallMax time.Duration `json:"stallMax"`
	// Stalls are the times in which it did not run for StallLeast or longer, in order; of more than 500 the longest. Older records lack them.
	Stalls     []Stall `json:"stalls,omitempty"`
	SocketsMax int     `json:"socketsMax,omitempty"`
	FilesMax   int     `json:"filesMax,omitempty"`
	FilesLimit int     `json:"filesLimit,omitempty"`
	CPU        float64 `json:"cpu,omitempty"`     // cores used by the harness, averaged over the window
	CPUBusy    float64 `json:"cpuBusy,omitempty"` // share of the machine that was busy, 0 to 1
	Nice       int     `json:"nice,omitempty"`    // priority of the generator's process: -10 comes before others, 0 is normal
}

// StallLeast is how long a process must not have run for the moment to be told.
const StallLeast = 20 * time.Millisecond

// Stall is a time in which the whole process of the generator did not run.
type Stall struct {
	At     time.Duration `json:"at"` // since the run's start
	Length time.Duration `json:"length"`
}

// maxStalls is how many stalls are recorded of one process.
const maxStalls = 500

// Stalls keeps the longest of many.
type Stalls []Stall

// Add takes one.
func (s *Stalls) Add(stall Stall) {
	if *s = append(*s, stall); len(*s) >= 2*maxStalls {
		*s = s.Longest()
	}
}

// Longest is the longest of them, 500 at the most, in the order of time.
func (s *Stalls) Longest() []Stall {
	kept := slices.Clone(*s)
	slices.SortStableFunc(kept, func(a, b Stall) int { return cmp.Compare(b.Length, a.Length) })
	kept = kept[:min(len(kept), maxStalls)]
	slices.SortFunc(kept, func(a, b Stall) int { return cmp.Compare(a.At, b.At) })
	return kept
}

// Batch says that the hits of an arm up to a byte offset are on disk.
type Batch struct {
	Arm  string `json:"arm"`
	End  int64  `json:"end"`  // bytes of hits-<arm>.bin that are whole
	Hits uint64 `json:"hits"` // hits in them, from the file's start
	// Sum is the SHA-256 of the file up to End, in hexadecimal: it vouches for the block that the batch brought, and for those before it.
	Sum string `json:"sum,omitempty"`
}

// Change is a change of a Kubernetes object, as a watch saw it.
type Change struct {
	Type      string    `json:"type"`     // added, modified, deleted
	Resource  string    `json:"resource"` // e.g. pods, endpointslices, rollouts
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	UID       string    `json:"uid,omitempty"`
	Pod       *PodState `json:"pod,omitempty"` // for pods
	// Object is what else a judge needs, trimmed: a type of package resource, by resource.
	Object json.RawMessage `json:"object,omitempty"`
	// By is who wrote the object since it was seen last; with its first change, everybody who ever wrote what is there now. It is
	// recorded of the kinds that package resource calls Authored. Older records hold none.
	By []Author `json:"by,omitempty"`
}

// Author is a client that wrote an object, as the API server keeps it in metadata.managedFields. Nothing there tells who deleted one.
type Author struct {
	Manager     string    `json:"manager"`               // as the client calls itself, e.g. kubectl-edit
	Operation   string    `json:"operation,omitempty"`   // Apply or Update
	Subresource string    `json:"subresource,omitempty"` // e.g. status, scale; empty for the object itself
	At          time.Time `json:"at,omitzero"`           // by the clock of the API server, in whole seconds
}

// The names of the disturbances that judges look for.
const (
	DrainName        = "drain"
	RollName         = "rolling-update" // of what has members
	ScaleInName      = "scale-in"       // wants fewer pods of a workload
	NodeLossName     = "node-loss"      // stops a node as a whole
	KilledName       = "killed"         // SIGKILL to the process of a container
	ForceDeletedName = "force-deleted"  // a pod, with grace 0
)

// DisturbanceManager is the Manager that disturbances write objects as, so that what they did can be told from what others did meanwhile.
const DisturbanceManager = "rollproof-disturbance"

// Gap is a time in which changes of a resource went unseen. A check that rests on them is inconclusive.
type Gap struct {
	Resource  string        `json:"resource"`            // as in Change; "*" for all
	Namespace string        `json:"namespace,omitempty"` // empty for all
	From      time.Duration `json:"from"`                // since the run's start
	To        time.Duration `json:"to"`
	Why       string        `json:"why"`
	// Lost says that changes may be missing for good: what differs afterwards is in the record, with the time it was found.
	// Otherwise every change is there, but those of the gap were recorded late, by up to To - From.
	Lost bool `json:"lost"`
}

// Eviction is one answer of the API server to an eviction of a pod.
type Eviction struct {
	Disturbance string        `json:"disturbance,omitempty"` // ID of the drain it belongs to
	Namespace   string        `json:"namespace"`
	Pod         string        `json:"pod"`
	UID         string        `json:"uid,omitempty"`
	Node        string        `json:"node,omitempty"`
	DryRun      bool          `json:"dryRun,omitempty"`
	Code        int           `json:"code"`              // HTTP status; 0 when there was no answer
	Cause       string        `json:"cause,omitempty"`   // DisruptionBudget with a 429 that a PDB is the reason of
	Message     string        `json:"message,omitempty"` // the server's, or the error where there was no answer
	RetryAfter  time.Duration `json:"retryAfter,omitempty"`
	Latency     time.Duration `json:"latency"`
}

// Answer is the answer in words.
func (e *Eviction) Answer() string {
	switch {
	case e.Code == http.StatusOK || e.Code == http.StatusCreated:
		return "allowed"
	case e.Code == http.StatusTooManyRequests:
		return "refused"
	case e.Code == 0:
		return "not answered"
	}
	return fmt.Sprintf("status %d", e.Code)
}

// PodState is what judges need of a pod. The demo fills it for plain processes too.
type PodState struct {
	Version     string `json:"version,omitempty"`
	Node        string `json:"node,omitempty"`
	IP          string `json:"ip,omitempty"`
	Phase       string `json:"phase,omitempty"`
	Ready       bool   `json:"ready"`
	Terminating bool   `json:"terminating,omitempty"` // deletion asked for: SIGTERM follows preStop
	Signalled   bool   `json:"signalled,omitempty"`   // SIGTERM was seen by the process itself
	// SignalledAt is when the process saw its SIGTERM, as it told itself at its end by the clock of its node; zero when it did not.
	SignalledAt time.Time `json:"signalledAt,omitzero"`
}

// Step is the share of traffic that a release should get from this moment on.
type Step struct {
	Workload Workload `json:"workload,omitzero"` // that is released
	Name     string   `json:"name"`              // e.g. canary-10, promoted, aborted
	Stable   string   `json:"stable"`            // version header of the stable release
	Canary   string   `json:"canary"`            // version header of the release under test
	Weight   float64  `json:"weight"`            // percent of traffic for Canary
}

// Phase is how far a disturbance is.
type Phase string

// The phases of a disturbance. One that began and neither landed nor failed proves nothing.
const (
	Began  Phase = "began"
	Landed Phase = "landed" // Evidence shows that it really happened
	Healed Phase = "healed"
	Failed Phase = "failed" // it could not be made to happen
	// Unhealed says that healing was tried and did not come true; the evidence says what is left behind.
	Unhealed Phase = "unhealed"
)

// Disturbance is a fault or a release, performed on purpose.
type Disturbance struct {
	ID       string     `json:"id"`   // joins its phases; unique in the run
	Name     string     `json:"name"` // e.g. drain, kill, release, regression
	Target   string     `json:"target,omitempty"`
	Nodes    []string   `json:"nodes,omitempty"` // those that are themselves what is disturbed
	Phase    Phase      `json:"phase"`
	Evidence []Evidence `json:"evidence,omitempty"`
	// Workload is what it disturbs, where that is one workload.
	Workload Workload `json:"workload,omitzero"`
	// Injects is set for a release that is bad on purpose: failures answered by this version of Workload, and by it alone, are injected.
	Injects string `json:"injects,omitempty"`
	// Fault is how the answers of Injects are bad on purpose: nothing else is excused. Records made before it was told lack it.
	Fault Fault `json:"fault,omitzero"`
	// Hash is the pod template hash of a release, once it is known. It tells the release from another one that carries the same version.
	Hash string `json:"hash,omitempty"`
	// Touched are the objects that it changes itself, told with its last phase at the latest. What becomes of them is declared, and nothing else.
	Touched []Touch `json:"touched,omitempty"`
}

// Effect is what a disturbance does to an object.
type Effect string

// The effects. Each stands for that alone: a pod whose process is killed is not one that was deleted.
const (
	Ends     Effect = "ends"     // the object is deleted
	Restarts Effect = "restarts" // of a pod: a container of it may start anew
	Changes  Effect = "changes"  // what the object asks for is changed
	Replaces Effect = "replaces" // of a pod: whoever keeps it may end it, in its turn, and put another one in its place
)

// Touch is an object that a disturbance changes itself.
type Touch struct {
	Effect    Effect `json:"effect"`
	Resource  string `json:"resource"` // as in Change
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
}

// Fault is how answers are bad on purpose.
type Fault struct {
	Status uint16 `json:"status,omitempty"` // some of them have this status, and are whole and in time otherwise
	Slow   bool   `json:"slow,omitempty"`   // they take longer
}

// IsZero reports whether nobody said how answers are bad.
func (f Fault) IsZero() bool { return f == Fault{} }

// Evidence is an observation that a disturbance happened, made by looking and not by having asked for it.
type Evidence struct {
	What string `json:"what"`
	Saw  string `json:"saw"`
}

// BrokenOff is the milestone of a run whose acts ended before their plan although the product did nothing wrong: an interrupt, a harness that
// failed, a path that was lost. What comes after it is the harness's own: it takes back what it did.
const BrokenOff = "broken off"

// Milestone is a named moment of a run.
type Milestone struct {
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
}

// Note is something worth telling a reader of the record.
type Note struct {
	Text string `json:"text"`
	Data any    `json:"data,omitempty"`
}

// Outcome is how a run ended.
type Outcome string

// The outcomes of a run that ended by itself. Only a run that finished or timed out saw as much as it planned to.
const (
	EndFinished    Outcome = "finished"    // all went to plan
	EndTimedOut    Outcome = "timed-out"   // something of the product did not come, although it was waited for as long as was planned
	EndInterrupted Outcome = "interrupted" // somebody ended it before its plan
	EndFailed      Outcome = "failed"      // the harness could not go on
)

// End closes a run that ended by itself. A record without it was cut short.
type End struct {
	Outcome Outcome           `json:"outcome,omitempty"` // read off Reason in records of format 1, which hold none
	Reason  string            `json:"reason"`            // the same for people
	Hits    map[string]uint64 `json:"hits"`              // per arm
	Ledgers map[string]uint64 `json:"ledgers,omitempty"` // lines of each
}
