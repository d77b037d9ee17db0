package accesslog

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/load"
)

// Options say how a log is read.
type Options struct {
	// Format is a name of FormatNames; empty is Auto.
	Format string
	// Strict ends at the first line that is neither a request as it is sent nor one of those that every log has.
	Strict bool
}

// Summary says what was found in a log.
type Summary struct {
	Format   string        `json:"format"`
	Detected bool          `json:"detected"` // nobody named the format
	Lines    int           `json:"lines"`
	Requests int           `json:"requests"`
	Span     time.Duration `json:"spanNanoseconds"` // from the first request to the last
	LeftOut  []Count       `json:"leftOut"`
	Mended   []Count       `json:"mended"`
}

// Log is an access log that was read to its end. Close it.
type Log struct {
	Summary
	first  int64
	sorted *sorter
}

const (
	sampleSize = 256 << 10 // bytes that are looked at to detect a format
	sortMemory = 4 << 20   // bytes of requests that are sorted in memory
	maxLine    = 1 << 20
)

// Read reads a log, plain or compressed by gzip. Its errors are one line that names the line of the log, what was wanted and what was found.
func Read(r io.Reader, o Options) (*Log, error) {
	named, err := named(o.Format)
	if err != nil {
		return nil, err
	}
	lines, err := open(r)
	if err != nil {
		return nil, err
	}
	sample, err := lines.Peek(sampleSize)
	if err != nil && err != io.EOF && len(sample) == 0 {
		return nil, err
	}
	sample = bytes.Clone(sample) // reading on writes over it
	if len(sample) == 0 {
		return nil, fmt.Errorf("it is empty: want lines like %s", Formats()[0].Example)
	}
	log := &Log{sorted: newSorter(sortMemory), Summary: Summary{Format: o.Format, LeftOut: []Count{}, Mended: []Count{}}}
	format := named
	if format == nil {
		if format, err = detect(sample); err != nil {
			return nil, err
		}
		log.Format, log.Detected = format.Name, true
	}
	conversion := conversion{log: log, strict: o.Strict, parse: format.open()}
	if err := conversion.run(lines); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	if err := conversion.judge(format, sample); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return log, nil
}

// open undoes what is around the text of a log.
func open(r io.Reader) (*bufio.Reader, error) {
	lines := bufio.NewReaderSize(r, sampleSize)
	magic, err := lines.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		packed := &counted{r: lines}
		unzipped, err := gzip.NewReader(packed)
		if err != nil {
			return nil, fmt.Errorf("it is compressed by gzip: %w", err)
		}
		return bufio.NewReaderSize(&bounded{unzipped: unzipped, packed: packed}, sampleSize), nil
	case bytes.HasPrefix(magic, []byte("\xef\xbb\xbf")): // byte-order mark of UTF-8
		_, err = lines.Discard(3)
		return lines, err
	case bytes.HasPrefix(magic, []byte("\xff\xfe")), bytes.HasPrefix(magic, []byte("\xfe\xff")):
		return nil, errors.New("it is UTF-16, as PowerShell writes it: convert it to UTF-8 first")
	}
	for _, c := range []struct{ magic, by string }{
		{"\x28\xb5\x2f\xfd", "zstd -dc"}, {"BZh", "bzip2 -dc"}, {"\xfd7zXZ\x00", "xz -dc"}, {"PK\x03\x04", "unzip -p"},
	} {
		if bytes.HasPrefix(magic, []byte(c.magic)) {
			return nil, fmt.Errorf("it is compressed: use %s FILE | rollproof traffic convert -", c.by)
		}
	}
	return lines, nil
}

// Bounds of what a compressed log unpacks to. A log of one request, a thousand times a second, packs to a three-hundredth; what packs to less was
// made to fill a disk, or is no log.
const (
	freelyUnpacked = 64 << 20 // bytes that may come of any number
	mostUnpacked   = 500      // times the bytes that were read
)

// bounded is a compressed log that ends with an error when it unpacks to far more than a log does.
type bounded struct {
	unzipped io.Reader
	packed   *counted
	out      int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.unzipped.Read(p)
	if b.out += int64(n); b.out > freelyUnpacked && b.out > mostUnpacked*b.packed.n {
		return 0, fmt.Errorf("the compressed log unpacks to more than %d times its size, as no log does: unpack it by hand and look at it", mostUnpacked)
	}
	return n, err
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// conversion is the state of reading one log.
type conversion struct {
	log     *Log
	strict  bool
	parse   parser
	leftOut counts
	mended  counts
	last    int64
	oddLine error // what was wrong with the first line that is not of the format
	odd     int
}

func (c *conversion) run(lines *bufio.Reader) error {
	var long []byte
	for {
		line, tooLong, err := nextLine(lines, &long)
		if err == io.EOF {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("line %d: the compressed log is cut off", c.log.Lines+1)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", c.log.Lines+1, err)
		}
		c.log.Lines++
		if err := c.line(line, tooLong); err != nil {
			return fmt.Errorf("line %d: %w", c.log.Lines, err)
		}
	}
	return c.log.sorted.done()
}

// nextLine gives a line without its end. One that is longer than maxLine is passed over. long is kept between calls.
func nextLine(r *bufio.Reader, long *[]byte) (line []byte, tooLong bool, err error) {
	*long = (*long)[:0]
	for {
		part, err := r.ReadSlice('\n')
		switch {
		case err == bufio.ErrBufferFull:
			if tooLong = tooLong || len(*long)+len(part) > maxLine; !tooLong {
				*long = append(*long, part...)
			}
			continue
		case err == io.EOF && len(part)+len(*long) == 0 && !tooLong, err != nil && err != io.EOF:
			return nil, false, err
		case tooLong || len(*long)+len(part) > maxLine:
			return nil, true, nil
		case len(*long) > 0:
			*long = append(*long, part...)
			part = *long
		}
		return bytes.TrimRight(part, "\r\n"), false, nil
	}
}

// line takes one line. An error ends the conversion.
func (c *conversion) line(line []byte, tooLong bool) error {
	var r request
	left, mended, err := TooLong, Reason(""), error(nil)
	if !tooLong {
		r, left, mended, err = replayable(c.parse, line)
	}
	switch {
	case c.strict && err != nil:
		return fmt.Errorf("%w, found %s", err, excerpt(line))
	case c.strict && (left != "" && !left.usual() || mended != ""):
		return fmt.Errorf("%s (%s): %s", cmp.Or(left, mended), cmp.Or(left, mended).Text(), excerpt(line))
	}
	if left != "" {
		if left.odd() {
			c.odd++
		}
		if c.oddLine == nil && err != nil {
			c.oddLine = fmt.Errorf("line %d: %w, found %s", c.log.Lines, err, excerpt(line))
		}
		c.leftOut.add(left, c.log.Lines)
		return nil
	}
	if mended != "" {
		c.mended.add(mended, c.log.Lines)
	}
	if c.log.Requests == 0 {
		c.log.first, c.last = r.at, r.at
	}
	c.log.first, c.last = min(c.log.first, r.at), max(c.last, r.at)
	c.log.Requests++
	return c.log.sorted.add(r)
}

// replayable makes a request of a line, or says why not. err is what was wrong with a line that is not of the format.
func replayable(parse parser, line []byte) (r request, left, mended Reason, err error) {
	line = unwrap(line)
	if len(bytes.TrimSpace(line)) == 0 {
		return r, Blank, "", nil
	}
	l, left, err := parse(line)
	if err != nil {
		return r, oddReason(line), "", err
	}
	if left == "" {
		left = l.refused()
	}
	if left != "" {
		return r, left, "", nil
	}
	r.path, mended, left = pathOf(&l)
	r.at, r.method, r.status = l.at.UnixNano(), safeMethod(l.method), l.status
	return r, left, mended, nil
}

// unwrap takes the line of a program out of the JSON that Docker keeps it in. The other wraps of containers, of kubectl and of syslog
// stand before the line, and every format passes over them.
func unwrap(line []byte) []byte {
	if bytes.HasPrefix(line, []byte(`{"log":"`)) {
		if value, _, ok := cutValue(line[len(`{"log":`):]); ok {
			text, _ := jsonText(value)
			return bytes.TrimRight(text, "\r\n")
		}
	}
	return line
}

// errorLog matches how a line begins in the error logs of nginx, of Apache, and of Go programs of Kubernetes.
var errorLog = regexp.MustCompile(`^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]+\] |\[[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d |[IWEF]\d{4} \d\d:\d\d:\d\d\.)`)

func oddReason(line []byte) Reason {
	if errorLog.Match(line) {
		return ErrorLog
	}
	return OtherAny
}

// judge refuses a log that was read as what it is not, and one without a request.
func (c *conversion) judge(format *Format, sample []byte) error {
	c.log.LeftOut, c.log.Mended = append(c.log.LeftOut, c.leftOut...), append(c.log.Mended, c.mended...)
	c.log.Span = time.Duration(c.last - c.log.first)
	if good := c.log.Lines - c.odd - lines(c.leftOut, Blank, Directive, OtherProgram); c.odd > good {
		return fmt.Errorf("%d of %d lines are not of the format %s; %s (%w)", c.odd, c.log.Lines, format.Name, suggest(format, sample), c.oddLine)
	}
	if c.log.Requests == 0 {
		return fmt.Errorf("it holds no request that can be replayed: left out %s", inWords(c.leftOut))
	}
	return nil
}

func lines(all counts, of ...Reason) (n int) {
	for _, count := range all {
		if slices.Contains(of, count.Reason) {
			n += count.Lines
		}
	}
	return n
}

func inWords(all counts) string {
	var parts []string
	for _, c := range all {
		parts = append(parts, fmt.Sprintf("%d %s", c.Lines, c.Reason))
	}
	return strings.Join(parts, ", ")
}

// Entries gives the requests in the order of time, the first at 0. Those of one moment are spread evenly up to the next moment, and over
// a second at most: a log that is no finer says no more. Entries share their lists of statuses.
func (l *Log) Entries() iter.Seq2[load.Entry, error] {
	return func(yield func(load.Entry, error) bool) {
		if err := l.entries(func(e load.Entry) bool { return yield(e, nil) }); err != nil {
			yield(load.Entry{}, err)
		}
	}
}

func (l *Log) entries(yield func(load.Entry) bool) error {
	ahead, err := l.sorted.merge() // counts the requests of a moment
	if err != nil {
		return err
	}
	behind, err := l.sorted.merge()
	if err != nil {
		return err
	}
	statuses := map[int][]int{} // what is accepted after each status: made once, not for every request
	for behind.peek() != nil {
		moment, n := behind.peek().at, int64(0)
		for ahead.peek() != nil && ahead.peek().at == moment {
			n++
			if err := ahead.pop(); err != nil {
				return err
			}
		}
		gap := int64(time.Second)
		if next := ahead.peek(); next != nil {
			gap = min(gap, next.at-moment)
		}
		for i := range n {
			r := behind.peek()
			if _, ok := statuses[r.status]; !ok {
				statuses[r.status] = accepted(r.status)
			}
			offset := time.Duration(moment - l.first + spread(gap, i, n))
			if !yield(load.Entry{Offset: offset, Method: r.method, Path: string(r.path), Status: statuses[r.status]}) {
				return nil
			}
			if err := behind.pop(); err != nil {
				return err
			}
		}
	}
	return nil
}

// spread is where the i-th of n requests of a moment lies in the gap, without overflow.
func spread(gap, i, n int64) int64 { return int64(float64(gap) * (float64(i) / float64(n))) }

// Close removes what reading the log left on disk.
func (l *Log) Close() error { return l.sorted.close() }

func excerpt(line []byte) string {
	const limit = 60
	if len(line) > limit {
		return strconv.Quote(string(line[:limit])) + "…"
	}
	return strconv.Quote(string(line))
}
