package history

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestARecordReadsBackAsItWasWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	rec := create(t, dir)
	arms := []string{"get", "post"}
	var wg sync.WaitGroup
	for _, arm := range arms {
		w, err := rec.Arm(arm)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for i := range 10_000 {
				if err := w.Write(&Hit{Seq: uint64(i), Code: 200, At: time.Duration(i), Version: "v1", Pod: fmt.Sprint("pod-", i%3)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if err := rec.Append(Event{Kind: KindDisturbance, Disturbance: &Disturbance{ID: "1", Name: "kill", Phase: Landed, Evidence: []Evidence{{"process", "gone"}}}}); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := rec.Close(EndFinished, ""); err != nil {
		t.Fatal(err)
	}

	h := open(t, dir)
	if got := h.Run(); got.ID != "test" || got.Format != FormatVersion || !got.Started.Equal(rec.Clock().Started()) {
		t.Errorf("run.json reads %+v", got)
	}
	if got, err := h.Arms(); err != nil || strings.Join(got, " ") != "get post" {
		t.Errorf("arms %q, %v", got, err)
	}
	for _, arm := range arms {
		n := uint64(0)
		for hit, err := range h.Hits(arm) {
			if err != nil {
				t.Fatal(err)
			}
			if hit.Seq != n || hit.Arm != arm || hit.At != time.Duration(n) || hit.Pod != fmt.Sprint("pod-", n%3) {
				t.Fatalf("hit %d of %s reads %+v", n, arm, hit)
			}
			n++
		}
		if n != 10_000 {
			t.Errorf("%s: read %d hits, want 10000", arm, n)
		}
	}
	var last Event
	kinds := map[Kind]int{}
	for e, err := range h.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Wall.IsZero() || e.At < last.At && e.Kind != KindBatch {
			t.Errorf("event %+v after %+v", e, last)
		}
		kinds[e.Kind]++
		last = e
	}
	if kinds[KindRun] != 1 || kinds[KindDisturbance] != 1 || kinds[KindBatch] < 2 || last.Kind != KindEnd {
		t.Errorf("kinds of events %v, the last is %s", kinds, last.Kind)
	}
	if last.End.Hits["get"] != 10_000 || last.End.Reason != "finished" {
		t.Errorf("the end says %+v", last.End)
	}
}

func TestEventsCutAnywhereAreReadUpToTheCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	rec := create(t, dir)
	for i := range 5 {
		if err := rec.Append(Event{Kind: KindNote, Note: &Note{Text: fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := rec.Close(EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, eventsFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		if err := os.WriteFile(path, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		h := open(t, dir)
		lines, damaged := 0, len(h.Damage()) > 0
		for _, err := range h.Events() {
			if err != nil {
				damaged = true
			} else {
				lines++
			}
		}
		text := string(whole[:cut])
		if want := strings.Count(text, "\n"); lines != want {
			t.Fatalf("cut at %d: read %d events, want %d", cut, lines, want)
		}
		if want := cut == 0 || !strings.HasSuffix(text, "\n"); damaged != want {
			t.Fatalf("cut at %d: damaged = %v, want %v", cut, damaged, want)
		}
	}
}

func TestALostRunFileIsDamageNotAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	rec := create(t, dir)
	if err := rec.Close(EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, runFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := open(t, dir)
	if len(h.Damage()) != 1 || h.Run().ID != "test" || !h.Run().Started.Equal(rec.Run().Started) {
		t.Errorf("damage %v, run %+v", h.Damage(), h.Run())
	}
}

func TestOpenRefusals(t *testing.T) {
	cases := map[string]struct {
		make func(t *testing.T, dir string)
		want string
	}{
		"no record":    {func(*testing.T, string) {}, "holds no events.jsonl"},
		"newer format": {func(t *testing.T, dir string) { newer(t, dir) }, "format 99, this rollproof reads up to"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.make(t, dir)
			if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func newer(t *testing.T, dir string) {
	line := `{"kind":"run","run":{"format":99,"id":"x"}}` + "\n"
	if err := errors.Join(os.WriteFile(filepath.Join(dir, eventsFile), []byte(line), 0o644),
		os.WriteFile(filepath.Join(dir, runFile), []byte(`{"format":99}`), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestCreateRefusesADirectoryThatHoldsSomething(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "precious"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, Run{ID: "test"}, NewClock()); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("error %v, want one that says the directory is not empty", err)
	}
}

func TestAFullDiskStopsTheRecordAndSaysSo(t *testing.T) {
	rec := create(t, filepath.Join(t.TempDir(), "run"))
	w, err := rec.Arm("get")
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("this system has no /dev/full: %v", err)
	}
	w.mu.Lock()
	closeQuietly(w.file)
	w.file = full
	w.mu.Unlock()
	if err := w.Write(&Hit{Code: 200}); err != nil {
		t.Fatalf("a buffered write: %v", err)
	}
	if err := w.Flush(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("flush gave %v, want no space left", err)
	}
	select {
	case <-rec.Failed():
	default:
		t.Error("Failed is not closed")
	}
	if err := rec.Append(Event{Kind: KindNote, Note: &Note{}}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the next event gave %v, want the first error again", err)
	}
	if err := rec.Close(EndFinished, ""); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("close gave %v, want the first error again", err)
	}
}

// A harness killed in the middle of a run leaves what it recorded: every batch it announced, whole hits, and no End.
func TestKilledHarnessLeavesAReadableRecord(t *testing.T) {
	if dir := os.Getenv("HISTORY_TEST_CHILD"); dir != "" {
		recordForever(dir)
	}
	dir := filepath.Join(t.TempDir(), "run")
	child := exec.Command(os.Args[0], "-test.run=^TestKilledHarnessLeavesAReadableRecord$")
	child.Env = append(os.Environ(), "HISTORY_TEST_CHILD="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "recording\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed: the error says that

	h := open(t, dir)
	var announced uint64
	for e, err := range h.Events() {
		if err != nil {
			continue // a cut last line is allowed
		}
		if e.Kind == KindEnd {
			t.Error("a killed run must not have an end")
		}
		if e.Kind == KindBatch {
			announced = e.Batch.Hits
		}
	}
	var n uint64
	for _, err := range h.Hits("get") {
		if err == nil {
			n++
		}
	}
	if announced == 0 || n < announced {
		t.Errorf("read %d hits, %d were announced as written", n, announced)
	}
}

func recordForever(dir string) {
	rec, err := Create(dir, Run{ID: "child"}, NewClock())
	if err != nil {
		panic(err)
	}
	w, err := rec.Arm("get")
	if err != nil {
		panic(err)
	}
	for i := uint64(0); ; i++ {
		if err := w.Write(&Hit{Seq: i, Code: 200, URL: "http://127.0.0.1/"}); err != nil {
			panic(err)
		}
		if i == 100_000 {
			fmt.Println("recording")
		}
	}
}

func TestWriteFileIsWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "verdict.json")
	if err := WriteJSON(path, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	if err := WriteJSON(path, func() {}); err == nil {
		t.Error("a value that cannot be encoded was written")
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "{\n  \"a\": 1\n}\n" {
		t.Errorf("the file reads %q, %v", data, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := WriteFile(filepath.Join(dir, "absent", "f"), nil); err == nil {
		t.Error("writing into a directory that does not exist succeeded")
	}
}

func BenchmarkWriteHit(b *testing.B) {
	rec, err := Create(filepath.Join(b.TempDir(), "run"), Run{ID: "bench"}, NewClock())
	if err != nil {
		b.Fatal(err)
	}
	w, err := rec.Arm("get")
	if err != nil {
		b.Fatal(err)
	}
	hit := sampleHit()
	for b.Loop() {
		hit.Seq++
		if err := w.Write(&hit); err != nil {
			b.Fatal(err)
		}
	}
	if err := rec.Close(EndFinished, ""); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkReadHit(b *testing.B) {
	hit := sampleHit()
	var scratch []byte
	stream := append([]byte{}, preamble...)
	for range 100_000 {
		hit.Seq++
		stream = appendHit(stream, &hit, started, &scratch)
	}
	b.SetBytes(int64(len(stream) / 100_000))
	n := 0
	for n < b.N {
		readHits(strings.NewReader(string(stream)), "f", started, func(_ *Hit, err error) bool {
			if err != nil && err != io.EOF {
				b.Fatal(err)
			}
			n++
			return n < b.N
		})
	}
}

func sampleHit() Hit {
	return Hit{Code: 200, At: 123456789012, Latency: 1234567, BytesIn: 900, Method: "GET", URL: "http://127.0.0.1:18080/v1/entries/42",
		Intended: 123456700000, Window: 1, Version: "v1.2.3", Pod: "bitvaultd-7f9c6d5b8-abcde"}
}

func create(t *testing.T, dir string) *Recorder {
	t.Helper()
	rec, err := Create(dir, Run{ID: "test", Scenario: "unit"}, NewClock())
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func open(t *testing.T, dir string) *History {
	t.Helper()
	h, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func closeQuietly(f *os.File) { _ = f.Close() }
