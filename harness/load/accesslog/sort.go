package accesslog

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// sorter puts requests in the order of time; those of one moment stay in the order of the log. What exceeds limit bytes goes to a
// temporary file as a sorted run, and the runs are merged while they are read.
type sorter struct {
	limit  int
	packed []byte // requests, one after the other
	begins []begin
	runs   []*io.SectionReader
	file   *os.File // nil while all fits into memory
	size   int64    // of file
}

// begin is where a request begins in packed.
type begin struct {
	at  int64
	pos int
}

// A request is packed as: moment (8 bytes), status (2), number of its method (1), length of its path (4), path.
const packedHead = 8 + 2 + 1 + 4

func newSorter(limit int) *sorter { return &sorter{limit: limit} }

// add takes a copy of r.
func (s *sorter) add(r request) error {
	if len(s.packed) > 0 && len(s.packed)+packedHead+len(r.path) > s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.begins = append(s.begins, begin{at: r.at, pos: len(s.packed)})
	s.packed = binary.BigEndian.AppendUint64(s.packed, uint64(r.at))
	s.packed = binary.BigEndian.AppendUint16(s.packed, uint16(r.status))
	s.packed = append(s.packed, byte(slices.Index(safeMethods, r.method)))
	s.packed = binary.BigEndian.AppendUint32(s.packed, uint32(len(r.path)))
	s.packed = append(s.packed, r.path...)
	return nil
}

// spill writes what is in memory as a sorted run.
func (s *sorter) spill() error {
	if s.file == nil {
		file, err := os.CreateTemp("", "rollproof-sort-")
		if err != nil {
			return fmt.Errorf("sort the requests in a temporary file (TMPDIR says where): %w", err)
		}
		s.file = file
		_ = os.Remove(file.Name()) // so that nothing is left after a kill; where an open file cannot be removed, Close does it
	}
	out := bufio.NewWriterSize(s.file, 64<<10)
	if err := errors.Join(s.writeSorted(out), out.Flush()); err != nil {
		return fmt.Errorf("sort the requests in a temporary file (TMPDIR says where): %w", err)
	}
	s.runs = append(s.runs, io.NewSectionReader(s.file, s.size, int64(len(s.packed))))
	s.size += int64(len(s.packed))
	s.packed, s.begins = s.packed[:0], s.begins[:0]
	return nil
}

func (s *sorter) writeSorted(out io.Writer) error {
	slices.SortStableFunc(s.begins, func(a, b begin) int { return cmp.Compare(a.at, b.at) })
	for _, b := range s.begins {
		path := binary.BigEndian.Uint32(s.packed[b.pos+packedHead-4:])
		if _, err := out.Write(s.packed[b.pos : b.pos+packedHead+int(path)]); err != nil {
			return err
		}
	}
	return nil
}

// done ends the adding. What is left becomes the last run: in memory, if it is the only one.
func (s *sorter) done() error {
	if s.file != nil {
		return s.spill()
	}
	var sorted bytes.Buffer
	if err := s.writeSorted(&sorted); err != nil {
		return err
	}
	s.runs = append(s.runs, io.NewSectionReader(bytes.NewReader(sorted.Bytes()), 0, int64(sorted.Len())))
	s.packed, s.begins = nil, nil
	return nil
}

// close removes the temporary file.
func (s *sorter) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if gone := os.Remove(s.file.Name()); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// merge reads the requests of all runs in the order of time. There may be several at once.
type merge []*cursor

// cursor stands on one request of a run.
type cursor struct {
	run   int
	lines *bufio.Reader
	request
}

func (s *sorter) merge() (*merge, error) {
	var m merge
	for i, run := range s.runs {
		c := &cursor{run: i, lines: bufio.NewReaderSize(io.NewSectionReader(run, 0, run.Size()), 16<<10)}
		if ok, err := c.advance(); err != nil {
			return nil, err
		} else if ok {
			m = append(m, c)
		}
	}
	heap.Init(&m)
	return &m, nil
}

// peek gives the next request, nil at the end. It is valid until the next pop.
func (m merge) peek() *request {
	if len(m) == 0 {
		return nil
	}
	return &m[0].request
}

// pop leaves the request that peek gives.
func (m *merge) pop() error {
	switch ok, err := (*m)[0].advance(); {
	case err != nil:
		return err
	case ok:
		heap.Fix(m, 0)
	default:
		heap.Pop(m)
	}
	return nil
}

func (c *cursor) advance() (bool, error) {
	var head [packedHead]byte
	if _, err := io.ReadFull(c.lines, head[:]); err == io.EOF {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("read the sorted requests: %w", err)
	}
	c.at = int64(binary.BigEndian.Uint64(head[:]))
	c.status = int(binary.BigEndian.Uint16(head[8:]))
	c.method = safeMethods[head[10]]
	c.path = slices.Grow(c.path[:0], int(binary.BigEndian.Uint32(head[11:])))[:binary.BigEndian.Uint32(head[11:])]
	if _, err := io.ReadFull(c.lines, c.path); err != nil {
		return false, fmt.Errorf("read the sorted requests: %w", err)
	}
	return true, nil
}

func (m merge) Len() int      { return len(m) }
func (m merge) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m merge) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(m[i].at, m[j].at), cmp.Compare(m[i].run, m[j].run)) < 0
}
func (m *merge) Push(x any) { *m = append(*m, x.(*cursor)) }
func (m *merge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}
