package history

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ledgerLines is a ledger of a run of three writes, in two blocks of whole lines.
func ledgerLines(t *testing.T, run string) [][]byte {
	t.Helper()
	var all bytes.Buffer
	lines := NewLedgerLines(&all)
	second := time.Second
	for _, line := range []LedgerLine{
		{Opened: &LedgerOpened{Run: run, Ledger: "nats", Writer: "w", Store: "nats", Keys: "nats-w-"}},
		{Write: &Write{Op: 0, Started: 1, Ended: 2, Outcome: WriteAcked, Tries: 1, Position: 1}},
		{Write: &Write{Op: 2, Intended: second, Started: second, Ended: 2 * second, Outcome: WriteUnknown, Tries: 2, Error: "timeout"}},
		{Write: &Write{Op: 1, Intended: 1, Started: 1, Ended: 2, Outcome: WriteFailed, Tries: 1}},
		{Found: &Found{Member: "nats-0", Op: 0, Position: 1, Count: 1}},
		{Member: &MemberRead{Name: "nats-0", Entries: 1}},
		{Closed: &LedgerClosed{Stopped: 2 * second, Planned: 3, Members: []string{"nats-0"}}},
	} {
		if err := lines.Append(line); err != nil {
			t.Fatal(err)
		}
	}
	return bytes.SplitAfter(bytes.TrimSuffix(all.Bytes(), []byte("\n")), []byte("\n"))
}

// ledgerRecord is a record with the given lines of a ledger as its blocks.
func ledgerRecord(t *testing.T, blocks ...[]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	rec, err := Create(dir, Run{ID: "r"}, StoppedClock(started, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	w, err := rec.Ledger("nats")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks {
		if err := w.Append(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := rec.Close(EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	return dir
}

// readLedgerOf reads the ledger of a record to its end.
func readLedgerOf(t *testing.T, dir string) (lines []LedgerLine, damage *Damage) {
	t.Helper()
	h, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for line, err := range h.Ledger("nats") {
		if err != nil {
			if !errors.As(err, &damage) {
				t.Fatalf("%v is no damage", err)
			}
			return lines, damage
		}
		lines = append(lines, *line)
	}
	return lines, nil
}

func pulledBlocks(t *testing.T) [][]byte {
	lines := ledgerLines(t, "r")
	last := append(bytes.Join(lines[3:], nil), '\n')
	return [][]byte{bytes.Join(lines[:3], nil), last}
}

func TestALedgerIsReadAsItWasWritten(t *testing.T) {
	dir := ledgerRecord(t, pulledBlocks(t)...)
	lines, damage := readLedgerOf(t, dir)
	if damage != nil || len(lines) != 7 {
		t.Fatalf("read %d lines, damage %v", len(lines), damage)
	}
	if w := lines[2].Write; lines[2].N != 2 || w == nil || w.Op != 2 || w.Outcome != WriteUnknown || w.Ended != 2*time.Second || w.Error != "timeout" {
		t.Errorf("read %+v", lines[2])
	}
	h := open(t, dir)
	if names, err := h.Ledgers(); err != nil || !slices.Equal(names, []string{"nats"}) {
		t.Errorf("the ledgers are %q: %v", names, err)
	}
	for e, err := range h.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if e.End != nil && e.End.Ledgers["nats"] != 7 {
			t.Errorf("the end counts %v", e.End.Ledgers)
		}
	}
}

// Whichever bit of a ledger is flipped, and wherever it is cut: it is damage, and no line behind it is read.
func TestAChangedLedgerIsDamage(t *testing.T) {
	dir := ledgerRecord(t, pulledBlocks(t)...)
	path := filepath.Join(dir, WritesFile("nats"))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := len(pulledBlocks(t)[0])
	for i := range whole {
		for what, changed := range map[string][]byte{"a bit is flipped": flipped(whole, i), "it is cut": whole[:i]} {
			if err := os.WriteFile(path, changed, 0o644); err != nil {
				t.Fatal(err)
			}
			lines, damage := readLedgerOf(t, dir)
			if damage == nil || len(lines) > 0 && i < first || len(lines) > 3 {
				t.Fatalf("byte %d, %s: damage %v, and %d lines are read", i, what, damage, len(lines))
			}
		}
	}
	if err := os.WriteFile(path, append(whole, "{}\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, damage := readLedgerOf(t, dir); damage == nil {
		t.Error("a line more is no damage")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, damage := readLedgerOf(t, dir); damage == nil || !strings.Contains(damage.Text, "missing") {
		t.Errorf("a ledger without its file is read with damage %v", damage)
	}
	if names, err := open(t, dir).Ledgers(); err != nil || len(names) != 1 {
		t.Errorf("a ledger without its file is not told of: %v, %v", names, err)
	}
}

func flipped(data []byte, i int) []byte {
	changed := bytes.Clone(data)
	changed[i] ^= 1 << (i % 8)
	return changed
}

// The harness vouches for what it was given. What was wrong before is seen by the writer's own numbers and sums.
func TestALedgerThatWasWrongBeforeItWasRecorded(t *testing.T) {
	lines := ledgerLines(t, "r")
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	foreign := ledgerLines(t, "another")
	foreign[len(foreign)-1] = append(foreign[len(foreign)-1], '\n')
	for name, given := range map[string][][]byte{
		"a line is missing":          {lines[0], lines[2]},
		"two lines changed places":   {lines[0], lines[2], lines[1]},
		"a line is there twice":      {lines[0], lines[1], lines[1]},
		"an edited line":             {lines[0], bytes.Replace(lines[1], []byte("acked"), []byte("fails"), 1)},
		"a ledger of another run":    foreign,
		"a line of another ledger":   {lines[0], foreign[1]},
		"it does not begin":          lines[1:],
		"two ledgers in one":         slices.Concat(lines, lines),
		"more after the end":         slices.Concat(lines, lines[1:2]),
		"it is no ledger of any run": {[]byte("{}\n")},
	} {
		if _, damage := readLedgerOf(t, ledgerRecord(t, given...)); damage == nil {
			t.Errorf("%s: nothing is damaged", name)
		}
	}
}

func TestOnlyWholeLinesAreRecorded(t *testing.T) {
	rec, err := Create(filepath.Join(t.TempDir(), "run"), Run{ID: "r"}, NewClock())
	if err != nil {
		t.Fatal(err)
	}
	w, err := rec.Ledger("nats")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rec.Ledger("nats"); err == nil {
		t.Error("a ledger is recorded twice")
	}
	for _, bad := range [][]byte{[]byte("half a line"), bytes.Repeat([]byte("long\n"), maxBlock)} {
		if err := w.Append(bad); err == nil {
			t.Errorf("%d bytes were recorded as whole lines", len(bad))
		}
	}
	if err := errors.Join(w.Append(nil), rec.Abandon()); err != nil {
		t.Error(err)
	}
}

// Whatever a line is: it is refused or it is one of a ledger, and nothing panics.
func FuzzLedgerCheck(f *testing.F) {
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"n":0,"opened":{"run":"r"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		sealed := newEventSeal().closed(bytes.Clone(data))
		check := NewLedgerCheck("r")
		line, err := check.Take(sealed)
		if err == nil && (line.N != 0 || line.Opened == nil || line.Opened.Run != "r" || check.Lines() != 1) {
			t.Errorf("%q is taken as %s", data, fmt.Sprintf("%+v", line))
		}
	})
}
