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
}

// Open opens the record in a directory. It fails only where there is no record, or one of a newer format; what is missing
// from a record that was cut short is Damage.
func Open(dir string) (*History, error) {
	h := &History{dir: dir}
	if _, err := os.Stat(filepath.Join(dir, eventsFile)); err != nil {
		return nil, fmt.Errorf("open the run in %s: it holds no %s: name the directory of a run: %w", dir, eventsFile, err)
	}
	header, headerErr := h.header()
	data, err := os.ReadFile(filepath.Join(dir, runFile))
	if err == nil {
		err = json.Unmarshal(data, &h.run)
		if err == nil && !bytes.HasSuffix(data, []byte("\n")) {
			err = errors.New("the last line is cut")
		}
	}
	if err != nil {
		h.damage = append(h.damage, Damage{File: runFile, Text: err.Error()})
		h.run = Run{Format: header.Format, ID: header.ID, Started: header.Started}
	}
	switch {
	case headerErr != nil:
		h.damage = append(h.damage, Damage{File: eventsFile, Text: headerErr.Error()})
	case !h.run.Started.Equal(header.Started):
		h.misdated(header.Started)
	}
	if err == nil && headerErr == nil && h.run.Format != header.Format {
		h.damage = append(h.damage, Damage{File: runFile, Text: fmt.Sprintf("it is of format %d, the events are of format %d", h.run.Format, header.Format)})
	}
	if newest := max(h.run.Format, header.Format); newest > FormatVersion {
		return nil, fmt.Errorf("open the run in %s: its record has format %d, this rollproof reads up to %d: use a newer rollproof",
			dir, newest, FormatVersion)
	}
	return h, nil
}

// misdated takes the start that the events tell of for the run's, and names the other one damage: every wall time hangs on it.
func (h *History) misdated(started time.Time) {
	text := fmt.Sprintf("it says that the run started at %s, and the events say at %s", h.run.Started.Format(time.RFC3339Nano), started.Format(time.RFC3339Nano))
	if h.run.Started.IsZero() {
		text = "it does not say when the run started"
	}
	h.damage = append(h.damage, Damage{File: runFile, Text: text})
	h.run.Started = started
}

// header reads the first line of the events.
func (h *History) header() (Header, error) {
	f, err := os.Open(filepath.Join(h.dir, eventsFile))
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
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return nil, fmt.Errorf("list the arms of the run in %s: %w", h.dir, err)
	}
	var arms []string
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), "hits-"); ok {
			if arm, ok := strings.CutSuffix(name, ".bin"); ok {
				arms = append(arms, arm)
			}
		}
	}
	slices.Sort(arms) // the order of file names is another: get-close comes before get there
	return arms, nil
}

// Events yields the events in the order they were recorded. The error, if any, comes last and is *Damage.
func (h *History) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f, err := os.Open(filepath.Join(h.dir, eventsFile))
		if err != nil {
			yield(Event{}, &Damage{File: eventsFile, Text: err.Error()})
			return
		}
		defer f.Close()
		readEvents(f, h.run.Format, yield)
	}
}

func readEvents(f io.Reader, format int, yield func(Event, error) bool) {
	lines := bufio.NewReaderSize(f, 64<<10)
	for offset := int64(0); ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return
		}
		var e Event
		if err == nil {
			err = json.Unmarshal(line, &e)
		} else if err == io.EOF {
			err = errors.New("the last line is cut")
		}
		if err != nil {
			yield(Event{}, &Damage{File: eventsFile, Offset: offset, Text: err.Error()})
			return
		}
		if format == 1 && e.End != nil {
			e.End.Outcome = outcomeOfFormat1(e.End.Reason)
		}
		offset += int64(len(line))
		if !yield(e, nil) {
			return
		}
	}
}

// Hits yields the hits of an arm in the order they were recorded, which is the order they ended in. The hit is valid until
// the next one is asked for. The error, if any, comes last and is *Damage.
func (h *History) Hits(arm string) iter.Seq2[*Hit, error] {
	return func(yield func(*Hit, error) bool) {
		name := hitsFile(arm)
		f, err := os.Open(filepath.Join(h.dir, name))
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = errors.New("the file is missing")
			}
			yield(nil, &Damage{File: name, Text: err.Error()})
			return
		}
		defer f.Close()
		readHits(f, name, h.run.Started, yield)
	}
}

func readHits(f io.Reader, name string, started time.Time, yield func(*Hit, error) bool) {
	r := bufio.NewReaderSize(f, maxMessage+16)
	head, err := r.Peek(len(preamble))
	switch {
	case err != nil && bytes.HasPrefix(preamble, head):
		yield(nil, &Damage{File: name, Text: "the file ends before the first hit"})
	case err == nil && bytes.Equal(head, preamble):
		_, _ = r.Discard(len(preamble)) // it was peeked at: it is there
		readOwnHits(r, name, started, yield)
	default:
		readForeignHits(r, name, started, yield)
	}
}

func readOwnHits(r *bufio.Reader, name string, started time.Time, yield func(*Hit, error) bool) {
	var (
		hit    Hit
		names  interner
		offset = int64(len(preamble))
	)
	for {
		msg, size, err := nextMessage(r)
		if err == io.EOF {
			return
		}
		if err == nil {
			err = decodeHit(msg, &hit, started, &names)
		}
		if err != nil {
			yield(nil, &Damage{File: name, Offset: offset, Text: err.Error()})
			return
		}
		if !yield(&hit, nil) {
			return
		}
		_, _ = r.Discard(size) // it was peeked at: it is there
		offset += int64(size)
	}
}

// nextMessage peeks at the next gob message: its payload, and its size with the length in front. io.EOF is a clean end.
func nextMessage(r *bufio.Reader) (payload []byte, size int, err error) {
	head, err := r.Peek(9)
	if len(head) == 0 {
		if err == io.EOF {
			return nil, 0, io.EOF
		}
		return nil, 0, fmt.Errorf("read the next hit: %w", err)
	}
	length, n := uvarint(head)
	if n == 0 && err == nil || length > maxMessage {
		return nil, 0, errMalformed
	}
	msg, err := r.Peek(n + int(length))
	if n == 0 || err != nil {
		return nil, 0, errors.New("the last hit is cut")
	}
	return msg[n:], len(msg), nil
}

func readForeignHits(r io.Reader, name string, started time.Time, yield func(*Hit, error) bool) {
	counted := &countingReader{r: r}
	err := foreignHits(counted, started, func(h *Hit) bool { return yield(h, nil) })
	if err != nil && err != io.EOF {
		yield(nil, &Damage{File: name, Offset: counted.n, Text: err.Error()})
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
