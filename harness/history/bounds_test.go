package history

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

func TestWhatAHitFailedBy(t *testing.T) {
	for _, c := range []struct {
		hit             Hit
		failed, overdue bool
	}{
		{Hit{Class: ClassOK}, false, false}, {Hit{Class: ClassOK, Reason: ReasonDeadline}, false, false}, {Hit{Class: ClassHarness}, true, false},
		{Hit{Class: ClassAmbiguous, Reason: ReasonDeadline}, true, true}, {Hit{Class: ClassAmbiguous, Reason: ReasonNotConnected}, true, true},
		{Hit{Class: ClassAmbiguous, Reason: ReasonDeadlineInBody}, true, true}, {Hit{Class: ClassIngress, Reason: ReasonRefused}, true, false},
	} {
		if c.hit.Failed() != c.failed || c.hit.Overdue() != c.overdue {
			t.Errorf("%s %q: failed %v, by its deadline %v, want %v, %v", c.hit.Class, c.hit.Reason, c.hit.Failed(), c.hit.Overdue(), c.failed, c.overdue)
		}
	}
	h := Hit{At: 5, Latency: 7, Intended: 2}
	if h.End() != 12 || h.Lag() != 3 {
		t.Errorf("it ended at %d with a lag of %d", h.End(), h.Lag())
	}
	if last := Class(len(classNames) - 1); last.String() != "ambiguous" || ClassOK.String() != "ok" || (last+1).String() != "unknown" {
		t.Errorf("classes are called %s, %s and %s", ClassOK, last, last+1)
	}
}

func TestNamesOfWorkloadsAndAnswers(t *testing.T) {
	for want, w := range map[string]Workload{"rollout shop/api": {"shop", "Rollout", "api"}, "node worker": {"", "Node", "worker"}} {
		if w.String() != want || w.IsZero() {
			t.Errorf("%+v is called %q, want %q", w, w, want)
		}
	}
	if !(Workload{}).IsZero() || !(Fault{}).IsZero() || (Fault{Slow: true}).IsZero() || (Fault{Status: 1}).IsZero() {
		t.Error("what names none is not told from what names one")
	}
	answers := map[string]string{}
	for _, code := range []int{0, 1, 199, 200, 201, 202, 428, 429, 430} {
		answers[(&Eviction{Code: code}).Answer()] += fmt.Sprint(code, " ")
	}
	want := map[string]string{"not answered": "0 ", "allowed": "200 201 ", "refused": "429 "}
	for answer, codes := range want {
		if answers[answer] != codes {
			t.Errorf("the codes %sare %s, want %s", answers[answer], answer, codes)
		}
	}
	if len(answers) != 8 {
		t.Errorf("answers %v: every other code is told by its number", answers)
	}
}

func TestRunsWithoutLoad(t *testing.T) {
	for _, c := range []struct {
		probes []string
		want   bool
	}{{nil, false}, {[]string{}, true}, {[]string{ProbeLoad}, false}, {[]string{"ledger"}, true}} {
		if got := (Run{Probes: c.probes}).WithoutLoad(); got != c.want {
			t.Errorf("probes %q: without load %v, want %v", c.probes, got, c.want)
		}
	}
}

func TestTheClock(t *testing.T) {
	stopped := StoppedClock(started, time.Minute)
	if stopped.Now() != time.Minute || stopped.At(started.Add(time.Second)) != time.Second || !stopped.Wall(time.Hour).Equal(started.Add(time.Hour)) {
		t.Errorf("a clock that stands at a minute shows %s", stopped.Now())
	}
	running := NewClock()
	if first := running.Now(); first < 0 || running.Now() < first || running.Now() == running.now && running.Now() != 0 {
		t.Error("the clock goes back")
	}
}

// Integers of gob, at the bounds of one byte and of eight.
func TestIntegersOfGob(t *testing.T) {
	for _, v := range []uint64{0, 1, 0x7f, 0x80, 0xff, 0x100, 1<<16 - 1, 1 << 16, 1<<56 - 1, 1 << 56, 1<<64 - 1} {
		b := appendUvarint(nil, v)
		if got, n := uvarint(append(b, 9)); got != v || n != len(b) {
			t.Errorf("%d reads %d of %d bytes", v, got, n)
		}
		for cut := range b {
			if got, n := uvarint(b[:cut]); got != 0 || n != 0 {
				t.Errorf("%d cut to %d bytes reads %d of %d bytes", v, cut, got, n)
			}
		}
		if one := v < 0x80; one != (len(b) == 1) {
			t.Errorf("%d takes %d bytes", v, len(b))
		}
		for _, signed := range []int64{int64(v), -int64(v)} {
			if got, _ := varint(appendVarint(nil, signed)); got != signed {
				t.Errorf("%d reads %d", signed, got)
			}
		}
	}
	nine := []byte{0xf7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	if got, n := uvarint(nine); got != 0 || n != 0 {
		t.Errorf("an integer of nine bytes reads %d of %d", got, n)
	}
	if got, n := uvarint(append([]byte{0xf8}, nine[1:]...)); got == 0 || n != 9 {
		t.Errorf("an integer of eight bytes reads %d of %d bytes", got, n)
	}
}

// message is the payload of one hit, made of pairs of a distance between fields and a value.
func message(fields ...[]byte) []byte {
	msg := appendVarint(nil, typeNumber)
	for _, f := range fields {
		msg = append(msg, f...)
	}
	return append(msg, 0)
}

func TestMessagesThatAreNoHit(t *testing.T) {
	number := func(v uint64) []byte { return appendUvarint(nil, v) }
	back := append(number(6), number(7)...)                // BytesOut is 7
	back = append(back, number(1<<64-3)...)                // and three fields back
	moment := append(number(4), appendUvarint(nil, 14)...) // a time of 14 bytes
	version := append(append(number(4), number(gobTimeLen)...), make([]byte, gobTimeLen)...)
	version[len(version)-gobTimeLen] = 2
	for name, c := range map[string]struct {
		msg  []byte
		good bool
	}{
		"nothing in it":                {message(), true},
		"its last field alone":         {message(append(number(wireFields), 1)), true},
		"a field more than there are":  {message(append(number(wireFields+1), 1)), false},
		"a field that goes back":       {message(append(back, 1)), false},
		"of another type":              {append(appendVarint(nil, typeNumber+1), 0), false},
		"no type":                      {nil, false},
		"no end":                       {appendVarint(nil, typeNumber), false},
		"more after its end":           {append(message(), 0), false},
		"a text that is longer":        {message(append(number(1), number(200)...)), false},
		"a text up to the end":         {append(appendVarint(nil, typeNumber), 1, 2, 'a', 'b'), false},
		"a time that is no time":       {message(append(moment, make([]byte, 14)...)), false},
		"a time of another version":    {message(version), false},
		"a number that is cut":         {append(appendVarint(nil, typeNumber), 2, 0xfe, 1), false},
		"a field after the last one":   {message(append(number(wireFields), 1), append(number(1), 1)), false},
		"a field that is the last one": {message(append(number(wireFields-1), 1), append(number(1), 1)), true},
	} {
		var h Hit
		err := decodeHit(c.msg, &h, started, &interner{})
		if (err == nil) != c.good {
			t.Errorf("%s: error %v, want good = %v", name, err, c.good)
		}
		if strings.Contains(name, "last") && c.good && !h.Echoed {
			t.Errorf("%s: its last field is not read", name)
		}
	}
}

// However many texts a record holds, few are kept.
func TestMemoryOfTextsIsBounded(t *testing.T) {
	var names interner
	for i := range maxInterned {
		names.intern(&names.pod, fmt.Append(nil, i))
	}
	if len(names.seen) != maxInterned {
		t.Errorf("%d texts are kept of %d, want all", len(names.seen), maxInterned)
	}
	names.intern(&names.pod, []byte("0"))
	if len(names.seen) != maxInterned || names.pod != "0" {
		t.Errorf("a text that is known is kept twice: %d, the last is %q", len(names.seen), names.pod)
	}
	if names.intern(&names.pod, []byte("one more")); len(names.seen) != 1 || names.pod != "one more" {
		t.Errorf("%d texts are kept after one too many, the last is %q", len(names.seen), names.pod)
	}
}

func TestTheLargestMessage(t *testing.T) {
	for size, want := range map[int]bool{maxMessage: true, maxMessage + 1: false} {
		stream := append(appendUvarint(nil, uint64(size)), make([]byte, size)...)
		payload, whole, err := nextMessage(bufio.NewReaderSize(bytes.NewReader(stream), maxMessage+16))
		if (err == nil) != want || want && (len(payload) != size || len(whole) != len(stream)) {
			t.Errorf("a message of %d bytes: %d bytes of %d, %v", size, len(payload), len(whole), err)
		}
	}
	stream := append(appendUvarint(bytes.Clone(preamble), maxMessage+1), make([]byte, maxMessage+1)...)
	readHits(bytes.NewReader(stream), "f", started, func(_ *Hit, err error) bool {
		if damage := new(Damage); !errors.As(err, &damage) || damage.Offset != int64(len(preamble)) {
			t.Errorf("a hit that is too large is %v, want damage at byte %d", err, len(preamble))
		}
		return true
	})
}

// Damage says up to where a file is whole, whoever wrote it.
func TestWhereDamageIs(t *testing.T) {
	first := encode([]Hit{{Arm: "get", Code: 200}})
	var damage *Damage
	readHits(bytes.NewReader(append(bytes.Clone(first), 3, 1, 1, 1)), "hits", started, func(_ *Hit, err error) bool {
		errors.As(err, &damage)
		return true
	})
	if damage == nil || damage.Offset != int64(len(first)) || damage.File != "hits" {
		t.Errorf("hits: damage %v, want it at byte %d", damage, len(first))
	}
	const line = `{"kind":"note"}` + "\n"
	damage = nil
	readEvents(strings.NewReader(line+line+"no event\n"+line), 1, func(_ Event, err error) bool {
		errors.As(err, &damage)
		return true
	})
	if damage == nil || damage.Offset != int64(2*len(line)) {
		t.Errorf("events: damage %v, want it at byte %d", damage, 2*len(line))
	}
	damage = nil
	foreign := "no gob at all"
	readHits(strings.NewReader(foreign), "hits", started, func(_ *Hit, err error) bool {
		errors.As(err, &damage)
		return true
	})
	if damage == nil || damage.Offset == 0 {
		t.Errorf("another stream: damage %v, want it after what was read", damage)
	}
}

// A hit that nobody classified is no good one where it has an error or no answer.
func TestHitsThatNobodyClassified(t *testing.T) {
	for _, c := range []struct {
		wire wireHit
		want Class
	}{
		{wireHit{Code: 200}, ClassOK}, {wireHit{}, ClassAmbiguous}, {wireHit{Code: 200, Error: "EOF"}, ClassAmbiguous}, {wireHit{Error: "EOF"}, ClassAmbiguous},
		{wireHit{Class: uint8(ClassIngress)}, ClassIngress}, {wireHit{Class: uint8(ClassHarness), Code: 200}, ClassHarness},
	} {
		if got := c.wire.hit(started); got.Class != c.want {
			t.Errorf("%+v is %s, want %s", c.wire, got.Class, c.want)
		}
	}
}

// blocksOf are the blocks of a file, and what vouches for each and for those before it.
func blocksOf(parts ...[]byte) (file []byte, blocks []Batch) {
	for _, part := range parts {
		file = append(file, part...)
		blocks = append(blocks, Batch{End: int64(len(file)), Sum: sumOfBytes(file)})
	}
	return file, blocks
}

func TestBlocksAtTheirBounds(t *testing.T) {
	for name, c := range map[string]struct {
		parts [][]byte
		more  int // bytes after the last block
		good  bool
	}{
		"none":                        {nil, 0, true},
		"none, and something follows": {nil, 1, false},
		"two":                         {[][]byte{[]byte("abc"), []byte("d")}, 0, true},
		"a large one after a small":   {[][]byte{[]byte("a"), []byte("bcd")}, 0, true},
		"something follows":           {[][]byte{[]byte("abc")}, 1, false},
		"an empty one":                {[][]byte{[]byte("abc"), nil}, 0, false},
		"an empty one first":          {[][]byte{nil, []byte("abc")}, 0, false},
		"the largest":                 {[][]byte{make([]byte, maxBlock)}, 0, true},
		"larger":                      {[][]byte{make([]byte, maxBlock+1)}, 0, false},
		"cut":                         {[][]byte{[]byte("abc")}, -1, false},
	} {
		file, blocks := blocksOf(c.parts...)
		if whole := file; c.more > 0 {
			file = append(file, 'x')
		} else {
			file = whole[:len(whole)+c.more]
		}
		got, err := io.ReadAll(&blockReader{f: bytes.NewReader(file), name: "f", blocks: blocks, sum: sha256.New()})
		if (err == nil) != c.good || c.good && !bytes.Equal(got, file) {
			t.Errorf("%s: read %d bytes of %d, %v, want good = %v", name, len(got), len(file), err, c.good)
		}
		if damage := new(Damage); err != nil && !errors.As(err, &damage) {
			t.Errorf("%s: %v is no damage", name, err)
		}
	}
}

// Hits reach the file when a block is full, and not before. Nothing else flushes here: nobody waits for the clock.
func TestABlockIsWrittenWhenItIsFull(t *testing.T) {
	dir := t.TempDir()
	events, err := os.Create(filepath.Join(dir, eventsFile))
	if err != nil {
		t.Fatal(err)
	}
	rec := &Recorder{
		dir: dir, clock: StoppedClock(started, 0), run: Run{Started: started}, events: events, seal: newEventSeal(), arms: map[string]*HitWriter{},
		failed: make(chan struct{}), stop: make(chan struct{}),
	}
	w, err := rec.Arm("get")
	if err != nil {
		t.Fatal(err)
	}
	size := func(body int) int {
		var scratch []byte
		return len(preamble) + len(appendHit(nil, &Hit{Arm: "get", Body: make([]byte, body)}, started, &scratch))
	}
	around := size(flushBytes/2) - flushBytes/2 // what stands around a body of so many bytes
	body := flushBytes - 1 - around
	if err := w.Write(&Hit{Body: make([]byte, body)}); err != nil || w.end != 0 || len(w.buf) != flushBytes-1 {
		t.Fatalf("%d bytes are buffered and %d written, %v", len(w.buf), w.end, err)
	}
	w.buf = append(w.buf[:0], preamble...)
	if err := w.Write(&Hit{Body: make([]byte, body+1)}); err != nil || w.end != flushBytes || len(w.buf) != 0 {
		t.Errorf("%d bytes are buffered and %d written, %v, want a full block written", len(w.buf), w.end, err)
	}
	if _, err := rec.Arm("get"); err == nil {
		t.Error("an arm is recorded twice")
	}
	if err := errors.Join(w.Flush(), rec.Close(EndFinished, "why")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(events.Name())
	if n := bytes.Count(data, []byte(`"kind":"batch"`)); err != nil || n != 1 {
		t.Errorf("%d batches are told, %v: where nothing is buffered there is none", n, err)
	}
}

// What is closed takes nothing more, and that is no failure of the record.
func TestAClosedRecordTakesNothing(t *testing.T) {
	for name, end := range map[string]func(*Recorder) error{
		"closed": func(r *Recorder) error { return r.Close(EndFinished, "") }, "abandoned": (*Recorder).Abandon,
	} {
		rec := create(t, filepath.Join(t.TempDir(), "run"))
		w, err := rec.Arm("get")
		if err != nil {
			t.Fatal(err)
		}
		if err := end(rec); err != nil {
			t.Fatal(err)
		}
		if err := rec.Append(Event{Kind: KindNote, Note: &Note{}}); err == nil {
			t.Errorf("%s: it took an event", name)
		}
		if err := errors.Join(w.Write(&Hit{}), w.Flush()); err == nil {
			t.Errorf("%s: it took a hit", name)
		}
		select {
		case <-rec.Failed():
			t.Errorf("%s: the record says that it failed", name)
		default:
		}
	}
}

// An event has the moment that it is given, or else that of the clock.
func TestTheMomentOfAnEvent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	rec, err := Create(dir, Run{ID: "r"}, StoppedClock(started, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(rec.Append(Event{At: 5, Kind: KindNote}), rec.Append(Event{Kind: KindNote}), rec.Close(EndFailed, "why")); err != nil {
		t.Fatal(err)
	}
	want := []time.Duration{time.Minute, 5, time.Minute, time.Minute}
	i := 0
	for e, err := range open(t, dir).Events() {
		if err != nil || e.At != want[i] || !e.Wall.Equal(started.Add(want[i])) {
			t.Errorf("event %d is of %s, %s, %v, want %s", i, e.At, e.Wall, err, want[i])
		}
		if e.End != nil && (e.End.Outcome != EndFailed || e.End.Reason != "why") {
			t.Errorf("the end says %+v", e.End)
		}
		i++
	}
	if i != len(want) {
		t.Errorf("%d events, want %d", i, len(want))
	}
}

// Only an event of the kind is a batch or the end, whatever else the text of another one holds.
func TestWhatTheEventsVouchFor(t *testing.T) {
	batch := &Batch{Arm: "get", End: 7, Sum: "s"}
	for name, c := range map[string]struct {
		events []Event
		blocks int
		good   bool
	}{
		"a batch":                      {[]Event{{Kind: KindBatch, Batch: batch}}, 1, true},
		"a batch that tells nothing":   {[]Event{{Kind: KindBatch}}, 0, true},
		"a note about a batch":         {[]Event{{Kind: KindNote, Batch: batch, Note: &Note{Data: map[string]string{"kind": "batch"}}}}, 0, true},
		"a note about an end":          {[]Event{{Kind: KindNote, Note: &Note{Data: map[string]string{"kind": "end"}}}, {Kind: KindBatch, Batch: batch}}, 1, true},
		"an end":                       {[]Event{{Kind: KindBatch, Batch: batch}, {Kind: KindEnd, End: &End{}}}, 1, true},
		"an end that tells of a batch": {[]Event{{Kind: KindEnd, Batch: batch}}, 0, true},
		"something after the end":      {[]Event{{Kind: KindEnd, End: &End{}}, {Kind: KindNote}}, 0, false},
		"a batch after the end":        {[]Event{{Kind: KindEnd, End: &End{}}, {Kind: KindBatch, Batch: batch}}, 0, false},
	} {
		path := filepath.Join(t.TempDir(), eventsFile)
		var file []byte
		seal := newEventSeal()
		for _, e := range c.events {
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			file = append(file, seal.closed(line[:len(line)-1])...)
		}
		if err := os.WriteFile(path, file, 0o644); err != nil {
			t.Fatal(err)
		}
		got := readSeals(path)
		if len(got.blocks[hitsFile("get")]) != c.blocks || (got.damage == nil) != c.good || c.good != (got.whole == int64(len(file))) {
			t.Errorf("%s: blocks %v, whole up to %d of %d, damage %v", name, got.blocks, got.whole, len(file), got.damage)
		}
		if c.good != (got.sum == sumOfBytes(file)) {
			t.Errorf("%s: the sum is not that of the whole events", name)
		}
	}
}

// Whoever stops reading is not called again, and damage is told once.
func TestReadingIsStoppedAtOnce(t *testing.T) {
	var buf bytes.Buffer
	dir := smallRecord(t)
	path := filepath.Join(dir, eventsFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(bytes.Clone(whole), "more"...), 0o644); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range open(t, dir).Events() { // it would panic if it went on
		n++
		break
	}
	for range open(t, dir).Hits("get") {
		n++
		break
	}
	if n != 2 {
		t.Errorf("read %d, want one event and one hit", n)
	}
	foreign := vegeta.NewEncoder(&buf)
	for range 2 {
		if err := foreign.Encode(&vegeta.Result{Code: 200}); err != nil {
			t.Fatal(err)
		}
	}
	n = 0
	readHits(&buf, "f", started, func(*Hit, error) bool { n++; return false })
	if n != 1 {
		t.Errorf("of a foreign stream %d hits are read, want the first", n)
	}
	// A line that fits its sum and is no event, and then one that does not fit.
	first, _, _ := bytes.Cut(whole, []byte("\n"))
	first = append(first, '\n')
	seal := newEventSeal()
	if !seal.holds(first) {
		t.Fatal("the first line does not fit its sum")
	}
	file := append(bytes.Clone(first), seal.closed([]byte(`{"at":"noon"`))...)
	if err := os.WriteFile(path, append(file, "more\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	events, damages := 0, 0
	for _, err := range open(t, dir).Events() {
		if err != nil {
			damages++
		} else {
			events++
		}
	}
	if events != 1 || damages != 1 {
		t.Errorf("%d events and %d damages, want one of each", events, damages)
	}
}

func TestArmsAreSortedByName(t *testing.T) {
	dir := smallRecord(t)
	for _, name := range []string{"hits-get-close.bin", "hits-get.txt", "writes-get.bin", "hits-.bin2"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := open(t, dir).Arms(); err != nil || strings.Join(got, " ") != "get get-close" {
		t.Errorf("arms %q, %v", got, err)
	}
}

// Files of a record that do not belong together, or say nothing, are damage, and the events are believed.
func TestOpeningLinesAndRunFiles(t *testing.T) {
	const run1 = `{"format":1,"id":"r","started":"2026-11-23T08:00:00Z"}` + "\n"
	line := func(run string) string { return `{"kind":"run","run":` + strings.TrimSpace(run) + "}\n" }
	for name, c := range map[string]struct {
		run, events string
		damage      int
		id, started string
		refused     bool
	}{
		"they fit":                       {run1, line(run1), 0, "r", "08:00:00", false},
		"the same moment elsewhere":      {strings.Replace(run1, "08:00:00Z", "09:00:00+01:00", 1), line(run1), 0, "r", "08:00:00", false},
		"another start":                  {strings.Replace(run1, "08:00", "07:00", 1), line(run1), 1, "r", "08:00:00", false},
		"no start":                       {`{"format":1,"id":"r"}` + "\n", line(run1), 1, "r", "08:00:00", false},
		"no start anywhere":              {`{"format":1,"id":"r"}` + "\n", line(`{"format":1,"id":"r"}`), 1, "r", "00:00:00", false},
		"the last line is cut":           {strings.TrimSpace(run1), line(run1), 1, "r", "08:00:00", false},
		"the first line is a note":       {run1, `{"kind":"note"}` + "\n", 1, "r", "08:00:00", false},
		"the first line tells of no run": {run1, `{"kind":"run"}` + "\n", 1, "r", "08:00:00", false},
		"the first line is another kind": {run1, strings.Replace(line(run1), `"kind":"run"`, `"kind":"note"`, 1), 1, "r", "08:00:00", false},
		"only the run file is newer":     {strings.Replace(run1, `"format":1`, `"format":3`, 1), line(run1), 0, "", "", true},
		"only the events are newer":      {run1, line(strings.Replace(run1, `"format":1`, `"format":3`, 1)), 0, "", "", true},
	} {
		dir := t.TempDir()
		c.run = strings.Replace(c.run, `"id"`, `"scenario":"s","id"`, 1)
		if err := errors.Join(os.WriteFile(filepath.Join(dir, runFile), []byte(c.run), 0o644), os.WriteFile(filepath.Join(dir, eventsFile), []byte(c.events), 0o644)); err != nil {
			t.Fatal(err)
		}
		h, err := Open(dir, AcceptUnprotected())
		if (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if len(h.Damage()) != c.damage || h.Run().ID != c.id || h.Run().Started.UTC().Format(time.TimeOnly) != c.started {
			t.Errorf("%s: damage %v, run %q started at %s", name, h.Damage(), h.Run().ID, h.Run().Started)
		}
		if want := map[bool]string{true: "s", false: ""}[strings.Contains(c.run, "\n") && json.Valid([]byte(c.run))]; h.Run().Scenario != want {
			t.Errorf("%s: scenario %q, want %q: in format 1 only run.json tells it", name, h.Run().Scenario, want)
		}
		if h.Sum() != sumOfBytes([]byte(c.events)) {
			t.Errorf("%s: the record of format 1 is called %s", name, h.Sum())
		}
	}
}

// A record without sums is accepted only where somebody says so; one with sums needs nobody's word.
func TestWhoAcceptsARecordWithoutSums(t *testing.T) {
	for _, c := range []struct {
		version     string
		options     []Option
		damage      int
		unprotected bool
	}{
		{"v1", nil, 1, false}, {"v1", []Option{AcceptUnprotected()}, 0, true}, {"v2", nil, 0, false}, {"v2", []Option{AcceptUnprotected()}, 0, false},
	} {
		h, err := Open(filepath.Join("testdata", c.version), c.options...)
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Damage()) != c.damage || h.Unprotected() != c.unprotected {
			t.Errorf("%s with %d options: damage %v, unprotected %v", c.version, len(c.options), h.Damage(), h.Unprotected())
		}
	}
}

func TestASealedFileThatIsNotAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "verdict.json")
	if err := WriteSealed(path, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := OpenSealed(path, &v); err != nil {
		t.Errorf("as it was written: %v", err)
	}
	sumAlone := newFileSeal().closed(nil) // an object of which nothing is left but its sum
	for name, text := range map[string][]byte{
		"changed": bytes.Replace(whole, []byte("1"), []byte("2"), 1), "without its sum": []byte(`{"a":1}`), "empty": []byte("{}"), "its sum alone": append([]byte("{"), sumAlone...),
	} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := OpenSealed(path, &v); err == nil {
			t.Errorf("%s: it is taken as it was written", name)
		}
	}
	if !newEventSeal().holds(newEventSeal().closed([]byte("{"))) {
		t.Error("the sum over one byte does not fit")
	}
	if newFileSeal().holds(sumAlone) || newFileSeal().holds(sumAlone[1:]) {
		t.Error("a sum over nothing vouches for something")
	}
}

// Hits reach the file without being asked to: of a harness that is killed next to nothing is lost.
func TestHitsReachTheFileByThemselves(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	rec := create(t, dir)
	w, err := rec.Arm("get")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&Hit{Code: 200}); err != nil {
		t.Fatal(err)
	}
	look, late := time.NewTicker(10*time.Millisecond), time.NewTimer(time.Minute)
	defer look.Stop()
	defer late.Stop()
	for size := int64(0); size == 0; {
		select {
		case <-look.C:
		case <-late.C:
			t.Fatal("wait for the hit to be in the file: not within a minute")
		}
		info, err := os.Stat(filepath.Join(dir, hitsFile("get")))
		if err != nil {
			t.Fatal(err)
		}
		size = info.Size()
	}
	if err := rec.Abandon(); err != nil {
		t.Fatal(err)
	}
	hits := 0
	for range open(t, dir).Hits("get") {
		hits++
	}
	if hits != 1 {
		t.Errorf("%d hits are in the file, want 1", hits)
	}
}

// A file that went while the record is read is damage.
func TestFilesThatWent(t *testing.T) {
	dir := smallRecord(t)
	h := open(t, dir)
	if err := errors.Join(os.Remove(filepath.Join(dir, eventsFile)), os.Remove(filepath.Join(dir, hitsFile("get")))); err != nil {
		t.Fatal(err)
	}
	damages := 0
	for _, err := range h.Events() {
		if damage := new(Damage); errors.As(err, &damage) {
			damages++
		}
	}
	for _, err := range h.Hits("get") {
		if damage := new(Damage); errors.As(err, &damage) {
			damages++
		}
	}
	if damages != 2 {
		t.Errorf("%d files are damaged, want 2", damages)
	}
}
