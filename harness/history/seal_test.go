package history

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// smallRecord is a record of two blocks of hits and a few events.
func smallRecord(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	rec, err := Create(dir, Run{ID: "r", Checks: []string{"load.held"}}, StoppedClock(started, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	w, err := rec.Arm("get")
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(4) {
		if err := w.Write(&Hit{Seq: seq, Code: 200, At: time.Second, Window: 1}); err != nil {
			t.Fatal(err)
		}
		if seq == 1 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := rec.Close(EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	return dir
}

// readAll reads a record to the end; damaged says whether anything of it is damage.
func readAll(t *testing.T, dir string) (hits int, damaged bool) {
	t.Helper()
	h, err := Open(dir)
	if err != nil {
		return 0, true // a format that does not exist
	}
	damaged = len(h.Damage()) > 0
	for _, err := range h.Events() {
		damaged = damaged || err != nil
	}
	for hit, err := range h.Hits("get") {
		if err != nil {
			damaged = true
		} else if hits++; hit.Code != 200 || hit.At != time.Second {
			t.Fatalf("a changed hit is read: %+v", hit)
		}
	}
	return hits, damaged
}

// Whichever bit of whichever file is flipped: it is damage, and what is read of the hits is as it was written.
func TestEveryFlippedBitIsDamage(t *testing.T) {
	dir := smallRecord(t)
	if hits, damaged := readAll(t, dir); hits != 4 || damaged {
		t.Fatalf("read %d hits of the whole record, damaged = %v", hits, damaged)
	}
	for _, name := range []string{runFile, eventsFile, "hits-get.bin"} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			changed := bytes.Clone(whole)
			changed[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, changed, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, damaged := readAll(t, dir); !damaged {
				t.Errorf("%s: bit %d of byte %d is flipped, and nothing is damaged", name, i%8, i)
			}
		}
		if err := os.WriteFile(path, whole, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The blocks before a damaged one are read.
func TestBlocksBeforeTheDamageAreRead(t *testing.T) {
	dir := smallRecord(t)
	path := filepath.Join(dir, "hits-get.bin")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-3] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if hits, damaged := readAll(t, dir); hits != 2 || !damaged {
		t.Errorf("read %d hits, damaged = %v, want the 2 of the first block", hits, damaged)
	}
}

// run.json does not fit: what the run was made for is read off the first line.
func TestTheFirstLineRepeatsRunJSON(t *testing.T) {
	dir := smallRecord(t)
	path := filepath.Join(dir, runFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(data, []byte("load.held"), []byte("load.help"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	h := open(t, dir)
	if got := h.Run().Checks; len(h.Damage()) != 1 || len(got) != 1 || got[0] != "load.held" {
		t.Errorf("damage %v, checks %q", h.Damage(), got)
	}
}

// What the sums cost of writing a hit; BenchmarkWriteHit is all of it.
func BenchmarkSumOfAHit(b *testing.B) {
	hit, sum := sampleHit(), sha256.New()
	var scratch []byte
	block := []byte{}
	for len(block) < flushBytes {
		hit.Seq++
		block = appendHit(block, &hit, started, &scratch)
	}
	perBlock := int(hit.Seq)
	for n := 0; n < b.N; n += perBlock {
		sum.Write(block)
		_ = sumOf(sum)
	}
}
