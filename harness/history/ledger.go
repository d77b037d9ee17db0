package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Ledger says of a ledger of acknowledged writes to one store what the harness knows of it. It is recorded when the ledger begins and again
// when it ends. What was written, and what each member of the store has of it, is in the ledger's file.
type Ledger struct {
	Name     string   `json:"name"`              // of the ledger: its lines are in writes-<name>.jsonl
	Store    string   `json:"store"`             // what kind of store it is, e.g. nats
	Workload Workload `json:"workload,omitzero"` // that is the store
	// Through are the workloads that a write must go through before it is where it is read back: what disturbs one of them disturbs the writes.
	Through  []Workload    `json:"through,omitempty"`
	Ended    bool          `json:"ended,omitempty"`
	Writer   string        `json:"writer"`   // the process that writes; a writer that started anew is another one
	Rate     float64       `json:"rate"`     // intended writes per second
	Deadline time.Duration `json:"deadline"` // of one write, from its start, with all its tries
	Clock    LedgerClock   `json:"clock"`
	Lost     string        `json:"lost,omitempty"` // with Ended: why the ledger is not whole, as far as the harness saw it
}

// LedgerClock brings the moments of a ledger onto the clock of the run. The writer has a clock of its own, in a pod.
type LedgerClock struct {
	Offset time.Duration `json:"offset"` // is added to a moment of the writer
	Within time.Duration `json:"within"` // what Offset may be wrong by, either way
	Looks  uint64        `json:"looks"`  // round trips that it was measured by
	// Apart is by how much the looks contradict each other: no offset fits all of them unless it is 0. One of the clocks stepped or drifted.
	Apart time.Duration `json:"apart,omitempty"`
}

// Block says that the lines of a ledger up to a byte offset are on disk.
type Block struct {
	Ledger string `json:"ledger"`
	End    int64  `json:"end"`   // bytes of writes-<ledger>.jsonl that are whole
	Lines  uint64 `json:"lines"` // in them, from the file's start
	Sum    string `json:"sum"`   // SHA-256 of the file up to End, in hexadecimal
}

// LedgerLine is one line of a ledger, as its writer wrote it. Exactly one of the fields besides N is set. All moments are since the writer opened
// the ledger, by the writer's own monotonic clock. In the file each line ends with a member more, its sum, as events do.
type LedgerLine struct {
	N      uint64        `json:"n"` // counts the lines from 0
	Opened *LedgerOpened `json:"opened,omitempty"`
	Write  *Write        `json:"write,omitempty"`
	View   *View         `json:"view,omitempty"`
	Found  *Found        `json:"found,omitempty"`
	Member *MemberRead   `json:"member,omitempty"`
	Closed *LedgerClosed `json:"closed,omitempty"`
}

// LedgerOpened is the first line. It says whose ledger it is.
type LedgerOpened struct {
	Run      string        `json:"run"` // its id
	Ledger   string        `json:"ledger"`
	Writer   string        `json:"writer"`
	Store    string        `json:"store"`
	Keys     string        `json:"keys"` // the key of operation n is this and n
	Rate     float64       `json:"rate"`
	Deadline time.Duration `json:"deadline"`
	Replicas int           `json:"replicas"` // members that each write should be on
	// Versions names the client library, and the store as far as it tells.
	Versions map[string]string `json:"versions,omitempty"`
}

// WriteOutcome is what became of a write.
type WriteOutcome string

// The outcomes of a write. Whatever may have reached the store without an answer is unknown, and never failed.
const (
	WriteAcked   WriteOutcome = "acked"   // the store said that it has it
	WriteFailed  WriteOutcome = "failed"  // it is certain that the store does not have it
	WriteUnknown WriteOutcome = "unknown" // it may have it, or not
)

// Write is one intended write under a key of its own, with all its tries, and what became of it.
type Write struct {
	Op       uint64        `json:"op"`       // counts the intended writes from 0
	Intended time.Duration `json:"intended"` // when it should have been started
	Started  time.Duration `json:"started"`
	Ended    time.Duration `json:"ended"`
	Outcome  WriteOutcome  `json:"outcome"`
	Tries    int           `json:"tries"`
	By       string        `json:"by,omitempty"`       // the member that acknowledged it, where an answer tells
	Position uint64        `json:"position,omitempty"` // where the store has it, e.g. its sequence in a stream; 0 where it does not tell
	// Duplicate says that the store had it already: the answer to an earlier try was lost.
	Duplicate bool   `json:"duplicate,omitempty"`
	Error     string `json:"error,omitempty"` // of the last try that failed
}

// View is what the store said of itself to the writer. One is written whenever it differs from the last.
type View struct {
	At      time.Duration `json:"at"`
	Leader  string        `json:"leader,omitempty"`  // empty: it named none, or did not answer
	Members []string      `json:"members,omitempty"` // besides the leader, those that are up to date
	// Masters are those that say of themselves that they lead, whomever others name. Only Redis tells; older records lack them.
	Masters []string `json:"masters,omitempty"`
	// Writable are those of Masters that took writes at one and the same time. Only Redis tells; older records lack them.
	Writable []string `json:"writable,omitempty"`
	// Health, Shards and Excluded are what a store of shards says of them; only OpenSearch tells, older records lack them. Shards is how many each
	// node has, of those that are in the cluster: Leader, which manages it, and Members. Excluded are the nodes that shards are kept off.
	Health   StoreHealth    `json:"health,omitempty"`
	Shards   map[string]int `json:"shards,omitempty"`
	Excluded []string       `json:"excluded,omitempty"`
	Error    string         `json:"error,omitempty"` // it did not answer
}

// StoreHealth is what of its shards a store has where it should.
type StoreHealth string

// The healths of a store of shards.
const (
	Green  StoreHealth = "green"  // every copy of every shard
	Yellow StoreHealth = "yellow" // one copy of every shard at least
	Red    StoreHealth = "red"    // of some shard none: what is in it cannot be read or written
)

// Found are operations that a member of the store has, read back after the last write: Count of them from Op on, at as many positions from
// Position on where the store has positions.
type Found struct {
	Member   string `json:"member"`
	Op       uint64 `json:"op"`
	Position uint64 `json:"position,omitempty"`
	Count    uint64 `json:"count"`
}

// MemberRead closes what was read back of one member.
type MemberRead struct {
	Name    string        `json:"name"`
	At      time.Duration `json:"at"`
	Entries uint64        `json:"entries"`           // that it has of this ledger
	Foreign uint64        `json:"foreign,omitempty"` // that it has in the ledger's place and are not of this ledger
	Error   string        `json:"error,omitempty"`   // why it was not read to its end; empty: it was
	// Effects say how the entries came about, where a write is a message that is to have an effect. No other store tells.
	Effects *Effects `json:"effects,omitempty"`
}

// Effects are what the messages of a ledger brought about, when a member was read.
type Effects struct {
	Backlog uint64 `json:"backlog"` // messages that were delivered and not acknowledged, or not delivered at all, whoever published them
	// Deliveries are those that came as far as an effect. With one for each message that has an effect, none was delivered again to where its effect was.
	Deliveries uint64 `json:"deliveries"`
	Messages   uint64 `json:"messages"` // that have an effect, or more than one
	// Redelivered is how often the broker delivered a message again while the ledger was written, by its own count, whoever published it.
	Redelivered uint64           `json:"redelivered,omitempty"`
	Versions    []VersionEffects `json:"versions,omitempty"` // by name
}

// VersionEffects are the effects that one version of a worker made. Its moments are by the clock of the database that keeps them.
type VersionEffects struct {
	Version string    `json:"version"`
	Effects uint64    `json:"effects"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	// Together are those of its effects that were made in a tenth of a second in which another version made some too.
	Together uint64 `json:"together,omitempty"`
}

// LedgerClosed is the last line of a ledger that its writer closed.
type LedgerClosed struct {
	Stopped time.Duration `json:"stopped"` // no write was intended from then on
	Planned uint64        `json:"planned"` // writes that were intended until then
	Members []string      `json:"members"` // all that the store has, read back or not
	Error   string        `json:"error,omitempty"`
	// Stalls are the times in which the writer's whole process did not run for StallLeast or longer, of more than 500 the longest.
	Stalls []Stall `json:"stalls,omitempty"`
}

// WritesFile is the name of the file that holds the lines of a ledger.
func WritesFile(ledger string) string { return "writes-" + ledger + ".jsonl" }

// LedgerBlock is how many bytes of a ledger are recorded at once at the most.
const LedgerBlock = flushBytes

// LedgerLines writes the lines of a ledger, numbered and each with its sum.
type LedgerLines struct {
	w    io.Writer
	seal *seal
	n    uint64
}

// NewLedgerLines begins a ledger.
func NewLedgerLines(w io.Writer) *LedgerLines { return &LedgerLines{w: w, seal: newEventSeal()} }

// Append writes a line; its N is filled in.
func (l *LedgerLines) Append(line LedgerLine) error {
	line.N = l.n
	data, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("write line %d of the ledger: %w", line.N, err)
	}
	l.n++
	if _, err := l.w.Write(l.seal.closed(data[:len(data)-1])); err != nil {
		return fmt.Errorf("write line %d of the ledger: %w", line.N, err)
	}
	return nil
}

// LedgerCheck holds the lines of a ledger against their numbers and sums, as they come.
type LedgerCheck struct {
	seal *seal
	n    uint64
	run  string
	over bool
}

// NewLedgerCheck is for the lines of a ledger of a run from its first line on.
func NewLedgerCheck(run string) *LedgerCheck { return &LedgerCheck{seal: newEventSeal(), run: run} }

// Lines is how many lines were whole.
func (c *LedgerCheck) Lines() uint64 { return c.n }

// Closed reports whether the last line of the ledger was taken.
func (c *LedgerCheck) Closed() bool { return c.over }

// Take is one whole line. The error says what is wrong with it; nothing after it can be believed.
func (c *LedgerCheck) Take(data []byte) (LedgerLine, error) {
	var line LedgerLine
	switch {
	case c.over:
		return line, errors.New("there is more after the end of the ledger")
	case !c.seal.holds(data):
		return line, errors.New("the sum of the next line does not fit: the line was changed, or one before it is missing, doubled or of another ledger")
	}
	if err := json.Unmarshal(data, &line); err != nil {
		return line, err
	}
	switch {
	case line.N != c.n:
		return line, fmt.Errorf("it is line %d, and stands where line %d should", line.N, c.n)
	case (line.Opened != nil) != (c.n == 0):
		return line, errors.New("a ledger is opened by its first line, and by no other")
	case line.Opened != nil && line.Opened.Run != c.run:
		return line, fmt.Errorf("it is the ledger of run %q, want run %q", line.Opened.Run, c.run)
	}
	c.n++
	c.over = line.Closed != nil
	return line, nil
}

// Ledgers names the ledgers that have a file or that an event vouches for, sorted.
func (h *History) Ledgers() ([]string, error) {
	names, err := h.files()
	if err != nil {
		return nil, fmt.Errorf("list the ledgers of the run in %s: %w", h.dir, err)
	}
	names = slices.AppendSeq(names, maps.Keys(h.events.blocks))
	return between(names, "writes-", ".jsonl"), nil
}

// Ledger yields the lines of a ledger in the order they were written, their moments as the writer has them. The error, if any, comes last and is
// *Damage.
func (h *History) Ledger(name string) iter.Seq2[*LedgerLine, error] {
	return func(yield func(*LedgerLine, error) bool) {
		file := WritesFile(name)
		f, damage := h.open(file)
		if damage != nil {
			yield(nil, damage)
			return
		}
		defer f.Close()
		check := NewLedgerCheck(h.run.ID)
		var line *LedgerLine
		damage = eachLine(newBlockReader(f, file, h.events.blocks[file]), file, func(data []byte) error {
			taken, err := check.Take(data)
			line = &taken
			return err
		}, func() bool { return yield(line, nil) })
		if damage != nil {
			yield(nil, damage)
		}
	}
}

// LedgerWriter appends the lines of one ledger to the record.
type LedgerWriter struct {
	recorder *Recorder
	name     string
	file     *os.File
	sum      hash.Hash // of what is in the file
	end      int64
	lines    uint64
}

// Ledger opens the lines of a ledger. It is called once for each ledger of a run.
func (r *Recorder) Ledger(name string) (*LedgerWriter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, exists := r.ledgers[name]; exists {
		return nil, fmt.Errorf("record ledger %s: it is recorded already", name)
	}
	f, err := os.OpenFile(filepath.Join(r.dir, WritesFile(name)), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("record ledger %s: %w", name, err)
	}
	w := &LedgerWriter{recorder: r, name: name, file: f, sum: sha256.New()}
	r.ledgers[name] = w
	return w, nil
}

// Append brings whole lines into the record, at most LedgerBlock bytes of them, as the writer sealed them.
func (w *LedgerWriter) Append(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	if len(lines) > maxBlock || !bytes.HasSuffix(lines, []byte("\n")) {
		return fmt.Errorf("record ledger %s: %d bytes are no block of whole lines", w.name, len(lines))
	}
	w.recorder.mu.Lock()
	defer w.recorder.mu.Unlock()
	if err := w.recorder.write(w.file, lines); err != nil {
		return err
	}
	w.end += int64(len(lines))
	w.lines += uint64(bytes.Count(lines, []byte("\n")))
	w.sum.Write(lines) // a hash never fails
	return w.recorder.append(Event{Kind: KindBlock, Block: &Block{Ledger: w.name, End: w.end, Lines: w.lines, Sum: sumOf(w.sum)}})
}

// ProbeLedger is the name of the probe of a ledger.
func ProbeLedger(ledger string) string { return "ledger-" + ledger }
