package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// History reads the record of a run, finished or not. Its methods are safe for concurrent use.
type History struct {
	dir    string
	run    Run
	damage []Damage
	events sealedEvents // of a record with sums
	bare   bool         // the record has no sums, and was opened all the same
}

// Option is a way to open a record.
type Option func(*History)

// AcceptUnprotected opens a record of format 1, which has no sums, as if it were whole: nobody can tell whether it was changed.
func AcceptUnprotected() Option { return func(h *History) { h.bare = true } }

// Open opens the record in a directory. It fails only where there is no record, or one of a newer format; what is missing
// from a record that was cut short, or was changed since, is Damage, and so is a record without sums unless it is accepted.
func Open(dir string, options ...Option) (*History, error) {
	h := &History{dir: dir}
	for _, option := range options {
		option(h)
	}
	if _, err := os.Stat(filepath.Join(dir, eventsFile)); err != nil {
		return nil, fmt.Errorf("open the run in %s: it holds no %s: name the directory of a run: %w", dir, eventsFile, err)
	}
	if err := h.regular(); err != nil {
		return nil, fmt.Errorf("open the run in %s: %w: copy the record anew", dir, err)
	}
	header, headerErr := h.header()
	about, aboutErr := readRun(filepath.Join(dir, runFile))
	if newest := max(about.Format, header.Format); newest > FormatVersion {
		return nil, fmt.Errorf("open the run in %s: its record has format %d, this rollproof reads up to %d: use a newer rollproof",
			dir, newest, FormatVersion)
	}
	h.run = about.Run
	if aboutErr != nil {
		h.damaged(runFile, aboutErr.Error())
		h.run = header.Run
	}
	if headerErr != nil {
		h.damaged(eventsFile, headerErr.Error())
	}
	if headerErr == nil && aboutErr == nil {
		h.compare(about, header)
	}
	h.protect()
	return h, nil
}

func (h *History) damaged(file, text string) {
	h.damage = append(h.damage, Damage{File: file, Text: text})
}

// readRun reads run.json; File is its sum.
func readRun(path string) (Header, error) {
	var about Header
	data, err := readFile(path)
	if err != nil {
		return about, err
	}
	about.File = sumOfBytes(data)
	if err := json.Unmarshal(data, &about.Run); err != nil {
		return Header{}, err
	}
	if !bytes.HasSuffix(data, []byte("\n")) {
		return Header{}, errors.New("the last line is cut")
	}
	return about, nil
}

// compare holds run.json against the opening line, which is believed where they differ.
func (h *History) compare(about, header Header) {
	switch {
	case header.Format != about.Format:
		h.damaged(runFile, fmt.Sprintf("it is of format %d, the events are of format %d", about.Format, header.Format))
	case header.Format > 1 && header.File != about.File:
		h.damaged(runFile, "it is not the one that the run was recorded with: its sum is not the one that the events begin with")
	case about.Started.IsZero():
		h.damaged(runFile, "it does not say when the run started")
	case !about.Started.Equal(header.Started):
		h.damaged(runFile, fmt.Sprintf("it says that the run started at %s, and the events say at %s",
			about.Started.Format(time.RFC3339Nano), header.Started.Format(time.RFC3339Nano)))
	default:
		return
	}
	if header.Format > 1 {
		h.run = header.Run
		return
	}
	h.run.Started = header.Started // every wall time hangs on it
}

// protect holds the events against their sums. A record of format 1 has none.
func (h *History) protect() {
	path := filepath.Join(h.dir, eventsFile)
	if h.run.Format > 1 {
		h.bare = false
		h.events = readSeals(path)
		return
	}
	if !h.bare {
		h.damaged(eventsFile, "the record has no sums, as in format 1: nobody can tell whether it was changed (--accept-unprotected judges it all the same)")
	}
	data, _ := readFile(path) // what cannot be read is damage of the events
	h.events.sum = sumOfBytes(data)
}

// Unprotected reports whether the record has no sums and was accepted all the same.
func (h *History) Unprotected() bool { return h.bare }

// header reads the first line of the events.
func (h *History) header() (Header, error) {
	f, err := openFile(filepath.Join(h.dir, eventsFile))
	if err != nil {
		return Header{}, err
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadBytes('\n')
	if err != nil {
		return Header{}, fmt.Errorf("the first line is not whole: %w", err)
	}
	var e Event
	if err := json.Unmarshal(line, &e); err != nil {
		return Header{}, fmt.Errorf("the first line is no event: %w", err)
	}
	if e.Kind != KindRun || e.Run == nil {
		return Header{}, fmt.Errorf("the first line is a %q event, want %q", e.Kind, KindRun)
	}
	return *e.Run, nil
}

// Dir is the directory of the run.
func (h *History) Dir() string { return h.dir }

// Run says what the record is a record of. Where run.json is damaged it holds only what the events' first line repeats.
func (h *History) Run() Run { return h.run }

// Damage is what Open found missing. The iterators yield theirs themselves.
func (h *History) Damage() []Damage { return slices.Clone(h.damage) }

// Arms names the arms that have a file of hits, sorted.
func (h *History) Arms() ([]string, error) {
	files, err := h.files()
	if err != nil {
		return nil, fmt.Errorf("list the arms of the run in %s: %w", h.dir, err)
	}
	return between(files, "hits-", ".bin"), nil
}

// files names what is in the directory of the run.
func (h *History) files() ([]string, error) {
	entries, err := os.ReadDir(h.dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// between is what stands between the two ends of the names that have both: sorted, for the order of file names is another (get-close comes before
// get there), and each once.
func between(names []string, prefix, suffix string) []string {
	var all []string
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			if middle, ok := strings.CutSuffix(rest, suffix); ok {
				all = append(all, middle)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// open opens a file that the record should have.
func (h *History) open(name string) (*os.File, *Damage) {
	f, err := openFile(filepath.Join(h.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("the file is missing")
	}
	if err != nil {
		return nil, &Damage{File: name, Text: err.Error()}
	}
	return f, nil
}

// Events yields the events in the order they were recorded. The error, if any, comes last and is *Damage.
func (h *History) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f, err := openFile(filepath.Join(h.dir, eventsFile))
		if err != nil {
			yield(Event{}, &Damage{File: eventsFile, Text: err.Error()})
			return
		}
		defer f.Close()
		if h.run.Format <= 1 {
			readEvents(f, h.run.Format, yield)
			return
		}
		more := true
		readEvents(io.LimitReader(f, h.events.whole), h.run.Format, func(e Event, err error) bool {
			more = yield(e, err) && err == nil
			return more
		})
		if more && h.events.damage != nil {
			yield(Event{}, h.events.damage)
		}
	}
}

func readEvents(f io.Reader, format int, yield func(Event, error) bool) {
	var e Event
	damage := eachLine(f, eventsFile, func(line []byte) error {
		e = Event{}
		return json.Unmarshal(line, &e)
	}, func() bool {
		if format == 1 && e.End != nil {
			e.End.Outcome = outcomeOfFormat1(e.End.Reason)
		}
		return yield(e, nil)
	})
	if damage != nil {
		yield(Event{}, damage)
	}
}

// eachLine has each line of a file taken, and says which cannot be, or is cut. It goes on until then, or until nobody wants more.
func eachLine(f io.Reader, file string, take func(line []byte) error, more func() bool) *Damage {
	lines := bufio.NewReaderSize(f, 64<<10)
	for offset := int64(0); ; {
		line, err := lines.ReadBytes('\n')
		switch {
		case err == io.EOF && len(line) == 0:
			return nil
		case err == io.EOF:
			err = errors.New("the last line is cut")
		case err == nil:
			err = take(line)
		}
		if err != nil {
			return damageAt(file, offset, err)
		}
		offset += int64(len(line))
		if !more() {
			return nil
		}
	}
}

// Hits yields the hits of an arm in the order they were recorded, which is the order they ended in. The hit is valid until
// the next one is asked for. The error, if any, comes last and is *Damage.
func (h *History) Hits(arm string) iter.Seq2[*Hit, error] {
	return func(yield func(*Hit, error) bool) {
		name := hitsFile(arm)
		f, damage := h.open(name)
		if damage != nil {
			yield(nil, damage)
			return
		}
		defer f.Close()
		if h.run.Format <= 1 {
			readHits(f, name, h.run.Started, yield)
			return
		}
		readHits(newBlockReader(f, name, h.events.blocks[name]), name, h.run.Started, yield)
	}
}

func readHits(f io.Reader, name string, started time.Time, yield func(*Hit, error) bool) {
	r := bufio.NewReaderSize(f, maxMessage+16)
	head, err := r.Peek(len(preamble))
	var damage *Damage
	switch {
	case errors.As(err, &damage):
		yield(nil, damage)
	case bytes.Equal(head, preamble):
		readOwnHits(r, len(preamble), name, started, yield)
	case bytes.HasPrefix(head, olderPreamble):
		readOwnHits(r, len(olderPreamble), name, started, yield)
	case bytes.HasPrefix(preamble, head) || bytes.HasPrefix(olderPreamble, head):
		yield(nil, &Damage{File: name, Text: "the file ends before the first hit"})
	default:
		readForeignHits(r, name, started, yield)
	}
}

// readOwnHits reads what follows the type definitions, which were peeked at and take so many bytes.
func readOwnHits(r *bufio.Reader, definitions int, name string, started time.Time, yield func(*Hit, error) bool) {
	var (
		hit    Hit
		names  interner
		offset = int64(definitions)
	)
	_, _ = r.Discard(definitions)
	for {
		msg, whole, err := nextMessage(r)
		if err == io.EOF {
			return
		}
		if err == nil {
			err = decodeHit(msg, &hit, started, &names)
		}
		if err != nil {
			yield(nil, damageAt(name, offset, err))
			return
		}
		if !yield(&hit, nil) {
			return
		}
		offset += int64(len(whole))
		_, _ = r.Discard(len(whole)) // it was peeked at: it is there
	}
}

// damageAt is the damage that an error tells of: the error itself where it is one.
func damageAt(file string, offset int64, err error) *Damage {
	if damage, ok := errors.AsType[*Damage](err); ok {
		return damage
	}
	return &Damage{File: file, Offset: offset, Text: err.Error()}
}

// nextMessage peeks at the next gob message: its payload, and all of it with the length in front. io.EOF is a clean end.
func nextMessage(r *bufio.Reader) (payload, whole []byte, err error) {
	head, err := r.Peek(9)
	if len(head) == 0 {
		if err == io.EOF {
			return nil, nil, io.EOF
		}
		return nil, nil, fmt.Errorf("read the next hit: %w", err)
	}
	length, n := uvarint(head) // 0 bytes, where that is none: then the payload is empty, and no hit
	if length > maxMessage {
		return nil, nil, errMalformed
	}
	if whole, err = r.Peek(n + int(length)); err != nil {
		return nil, nil, errors.New("the last hit is cut")
	}
	return whole[n:], whole, nil
}

func readForeignHits(r io.Reader, name string, started time.Time, yield func(*Hit, error) bool) {
	counted := &countingReader{r: r}
	err := foreignHits(counted, started, func(h *Hit) bool { return yield(h, nil) })
	if err != nil && err != io.EOF {
		yield(nil, damageAt(name, counted.n, err))
	}
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
