package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
)

// sealedEvents is what one reading of events.jsonl tells before anything of the record is believed: how far its sums hold, and the blocks
// of the other files that the whole events vouch for.
type sealedEvents struct {
	whole  int64 // bytes
	sum    string
	blocks map[string][]Batch // by file, in the order of the file
	damage *Damage            // after whole; nil when the file ends with it
}

// readSeals holds every line of the events against its sum, up to the first that does not fit.
func readSeals(path string) sealedEvents {
	events := sealedEvents{blocks: map[string][]Batch{}, sum: sumOfBytes(nil)}
	f, err := openFile(path)
	if err != nil {
		events.damage = &Damage{File: eventsFile, Text: err.Error()}
		return events
	}
	defer f.Close()
	if err := events.read(bufio.NewReaderSize(f, 64<<10)); err != nil {
		events.damage = &Damage{File: eventsFile, Offset: events.whole, Text: err.Error()}
	}
	return events
}

func (s *sealedEvents) read(lines *bufio.Reader) error {
	seal, ended := newEventSeal(), false
	for {
		line, err := lines.ReadBytes('\n')
		switch {
		case err == io.EOF && len(line) == 0:
			return nil
		case err == io.EOF:
			return errors.New("the last line is cut")
		case err != nil:
			return err
		case ended:
			return errors.New("there is more after the end of the run")
		case !seal.holds(line):
			return errors.New("the sum of the next line does not fit: the line was changed, or one before it is missing, doubled or of another run")
		}
		if ended, err = s.take(line); err != nil {
			return err
		}
		s.whole += int64(len(line))
		s.sum = sumOf(seal.sum)
	}
}

// take notes what a whole line vouches for, and reports whether it is the end of the run.
func (s *sealedEvents) take(line []byte) (end bool, err error) {
	if !bytes.Contains(line, []byte(`"kind":"`+KindBatch+`"`)) && !bytes.Contains(line, []byte(`"kind":"`+KindEnd+`"`)) {
		return false, nil // nothing of this is decoded twice but batches
	}
	var e Event
	if err := json.Unmarshal(line, &e); err != nil {
		return false, err
	}
	if b := e.Batch; e.Kind == KindBatch && b != nil {
		name := hitsFile(b.Arm)
		s.blocks[name] = append(s.blocks[name], *b)
	}
	return e.Kind == KindEnd, nil
}

// maxBlock is the bytes of the largest block: one that a hit filled.
const maxBlock = flushBytes + 2*maxMessage

// blockReader reads a file of a record block by block, and hands on only what its sum vouches for. What does not fit is *Damage.
type blockReader struct {
	f      io.Reader
	name   string
	blocks []Batch
	sum    hash.Hash

	end  int64 // of the blocks that were read
	data []byte
	left []byte // of data
	err  error
}

func (r *blockReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if r.err == nil {
			r.err = r.next()
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// next reads the next block. io.EOF is the end of the file where the blocks end too.
func (r *blockReader) next() error {
	damage := func(format string, args ...any) error {
		return &Damage{File: r.name, Offset: r.end, Text: fmt.Sprintf(format, args...)}
	}
	if len(r.blocks) == 0 {
		if _, err := io.ReadFull(r.f, make([]byte, 1)); err != io.EOF {
			return damage("no event vouches for what follows")
		}
		return io.EOF
	}
	size := r.blocks[0].End - r.end
	if size <= 0 || size > maxBlock {
		return damage("the events tell of a block of %d bytes", size)
	}
	r.data = slices.Grow(r.data[:0], int(size))[:size]
	if n, err := io.ReadFull(r.f, r.data); err != nil {
		return damage("the file is cut: %d bytes of a block of %d are there: %v", n, size, err)
	}
	r.sum.Write(r.data)
	if sumOf(r.sum) != r.blocks[0].Sum {
		return damage("the sum of the next block does not fit: a byte of it was changed, or the file is of another run")
	}
	r.end, r.left, r.blocks = r.blocks[0].End, r.data, r.blocks[1:]
	return nil
}

// Sum is the SHA-256 of the events up to which they are whole, in hexadecimal. In a record with sums it names all of the record, for the events
// vouch for every other file.
func (h *History) Sum() string { return h.events.sum }
