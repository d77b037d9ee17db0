package history

import (
	"bytes"
	"encoding/gob"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write golden files anew")

var started = time.Date(2026, 11, 23, 8, 0, 0, 123456789, time.UTC)

func TestPreambleDefinesWireHit(t *testing.T) {
	if *update {
		var buf bytes.Buffer
		if err := gob.NewEncoder(&buf).Encode(wireHit{}); err != nil {
			t.Fatal(err)
		}
		stream := buf.Bytes()
		pos := 0
		for {
			length, n := uvarint(stream[pos:])
			if id, _ := varint(stream[pos+n:]); id > 0 {
				break
			}
			pos += n + int(length)
		}
		if err := os.WriteFile("hit.gobtype", stream[:pos], 0o644); err != nil {
			t.Fatal(err)
		}
		t.Skip("hit.gobtype is written anew: run again without -update")
	}
	if typeNumber <= 0 {
		t.Fatalf("type number %d: the preamble does not start with a type definition", typeNumber)
	}
}

func anyHit() *rapid.Generator[Hit] {
	return rapid.Custom(func(t *rapid.T) Hit {
		span := rapid.Int64Range(-1e15, 1e15)
		text := rapid.StringN(0, 40, 200)
		return Hit{
			Arm: text.Draw(t, "arm"), Seq: rapid.Uint64().Draw(t, "seq"), Code: rapid.Uint16().Draw(t, "code"),
			At: time.Duration(span.Draw(t, "at")), Latency: time.Duration(span.Draw(t, "latency")),
			BytesOut: rapid.Uint64().Draw(t, "out"), BytesIn: rapid.Uint64().Draw(t, "in"),
			Error: text.Draw(t, "error"), Body: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body"),
			Method: text.Draw(t, "method"), URL: text.Draw(t, "url"),
			Intended: time.Duration(span.Draw(t, "intended")), Window: rapid.Int().Draw(t, "window"),
			Version: text.Draw(t, "version"), Pod: text.Draw(t, "pod"), Class: Class(rapid.IntRange(0, 4).Draw(t, "class")),
			Reason: text.Draw(t, "reason"), Masked: rapid.Int().Draw(t, "masked"), Unsent: rapid.Bool().Draw(t, "unsent"),
			Route: text.Draw(t, "route"), Digest: rapid.Bool().Draw(t, "digest"), Echoed: rapid.Bool().Draw(t, "echoed"),
		}
	})
}

// What we write by hand, encoding/gob reads, field by field; and what encoding/gob reads is what we read.
func TestHandWrittenGobIsGob(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(anyHit(), 1, 5).Draw(t, "hits")
		stream := encode(want)
		i := 0
		err := foreignHits(bytes.NewReader(stream), started, func(h *Hit) bool {
			w := want[i]
			if w.Class == ClassOK && (w.Code == 0 || w.Error != "") {
				w.Class, w.Reason = ClassAmbiguous, "unclassified"
			}
			assertHit(t, "encoding/gob", h, &w)
			i++
			return true
		})
		if err != io.EOF || i != len(want) {
			t.Fatalf("encoding/gob read %d of %d hits, then %v", i, len(want), err)
		}
		got := collect(t, stream)
		for i := range want {
			assertHit(t, "own reader", &got[i], &want[i])
		}
	})
}

func TestVegetaReadsTheHits(t *testing.T) {
	hits := []Hit{
		{Arm: "get", Seq: 7, Code: 200, At: 3 * time.Second, Latency: time.Millisecond, BytesIn: 900, Method: "GET", URL: "http://127.0.0.1/", Version: "v1", Pod: "a"},
		{Arm: "get", Seq: 8, At: 4 * time.Second, Latency: 2 * time.Millisecond, Error: "EOF", Class: ClassApplication, Body: []byte("x")},
	}
	dec := vegeta.DecoderFor(bytes.NewReader(encode(hits)))
	if dec == nil {
		t.Fatal("vegeta does not recognise the stream")
	}
	for i, want := range hits {
		var r vegeta.Result
		if err := dec(&r); err != nil {
			t.Fatalf("vegeta decodes hit %d: %v", i, err)
		}
		if r.Attack != want.Arm || r.Seq != want.Seq || r.Code != want.Code || !r.Timestamp.Equal(started.Add(want.At)) || r.Timestamp.Location() != time.UTC ||
			r.Latency != want.Latency || r.BytesIn != want.BytesIn || r.Error != want.Error || r.Method != want.Method ||
			r.URL != want.URL || !bytes.Equal(r.Body, want.Body) {
			t.Errorf("vegeta read %+v, want %+v", r, want)
		}
	}
	var r vegeta.Result
	if err := dec(&r); err != io.EOF {
		t.Errorf("after the last hit vegeta got %v, want EOF", err)
	}
}

// A stream written by vegeta itself is readable: its failures count, though nobody classified them.
func TestReadsVegetasOwnResults(t *testing.T) {
	var buf bytes.Buffer
	enc := vegeta.NewEncoder(&buf)
	results := []vegeta.Result{
		{Attack: "a", Code: 200, Timestamp: started.Add(time.Second), Headers: map[string][]string{"X": {"y"}}},
		{Attack: "a", Seq: 1, Timestamp: started.Add(2 * time.Second), Error: "EOF"},
	}
	for i := range results {
		if err := enc.Encode(&results[i]); err != nil {
			t.Fatal(err)
		}
	}
	got := collect(t, buf.Bytes())
	if len(got) != 2 || got[0].Failed() || !got[1].Failed() || got[1].At != 2*time.Second {
		t.Errorf("read %+v", got)
	}
}

func TestHitsCutAnywhereAreReadUpToTheCut(t *testing.T) {
	hits := []Hit{{Arm: "get", Code: 200}, {Arm: "get", Seq: 1, Error: "EOF", Class: ClassIngress}, {Arm: "get", Seq: 2, Code: 200}}
	stream := encode(hits)
	whole := map[int]int{len(encode(hits[:0])): 0, len(encode(hits[:1])): 1, len(encode(hits[:2])): 2, len(stream): 3}
	for cut := range len(stream) {
		n := 0
		var damage error
		readHits(bytes.NewReader(stream[:cut]), "f", started, func(h *Hit, err error) bool {
			if err != nil {
				damage = err
			} else if h.Seq != uint64(n) {
				t.Fatalf("cut at %d: hit %d has seq %d", cut, n, h.Seq)
			} else {
				n++
			}
			return true
		})
		if at, clean := whole[cut]; clean {
			if n != at || damage != nil {
				t.Errorf("cut at %d, between hits: read %d, want %d; damage %v", cut, n, at, damage)
			}
		} else if damage == nil {
			t.Errorf("cut at %d, inside a hit: read %d and no damage", cut, n)
		}
	}
}

// Hits that were written before the record said what answers carry are read as quickly as others, and cut ones are told.
func TestReadsHitsOfTheOlderShape(t *testing.T) {
	want := []Hit{{Arm: "get", Code: 200, Version: "v1", Route: "r"}, {Arm: "get", Seq: 1, Error: "EOF", Class: ClassIngress}}
	older := append(bytes.Clone(olderPreamble), encode(want)[len(preamble):]...)
	for i, got := range collect(t, older) {
		if flat(got) != flat(want[i]) {
			t.Errorf("read %s, want %s", flat(got), flat(want[i]))
		}
	}
	if n := len(collect(t, older)); n != len(want) {
		t.Errorf("%d hits, want %d", n, len(want))
	}
	if _, n := uvarint(olderPreamble); n == 0 {
		t.Fatal("the older definitions are none")
	} else if id, _ := varint(olderPreamble[n:]); -id != typeNumber {
		t.Errorf("the older definitions number the hit %d, today's %d", -id, typeNumber)
	}
	for cut := range len(older) {
		var last error
		readHits(bytes.NewReader(older[:cut]), "f", started, func(_ *Hit, err error) bool { last = err; return true })
		if whole := cut == len(olderPreamble) || cut == len(older)-len(encode(want[1:]))+len(preamble); (last == nil) != whole {
			t.Errorf("cut at %d of %d: %v", cut, len(older), last)
		}
	}
}

func FuzzReadHits(f *testing.F) {
	f.Add(encode([]Hit{{Arm: "get", Code: 200, Body: []byte("b")}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		own := append(bytes.Clone(preamble), data...)
		for _, stream := range [][]byte{data, own} {
			damaged := false
			readHits(bytes.NewReader(stream), "f", started, func(h *Hit, err error) bool {
				if damaged || (h == nil) == (err == nil) {
					t.Fatal("an error must come alone and last")
				}
				damaged = err != nil
				return true
			})
		}
	})
}

func encode(hits []Hit) []byte {
	stream := bytes.Clone(preamble)
	var scratch []byte
	for i := range hits {
		stream = appendHit(stream, &hits[i], started, &scratch)
	}
	return stream
}

func collect(t interface{ Fatalf(string, ...any) }, stream []byte) []Hit {
	var got []Hit
	readHits(bytes.NewReader(stream), "f", started, func(h *Hit, err error) bool {
		if err != nil {
			t.Fatalf("read hits: %v", err)
		}
		c := *h
		c.Body = bytes.Clone(h.Body)
		got = append(got, c)
		return true
	})
	return got
}

func assertHit(t *rapid.T, reader string, got, want *Hit) {
	if !bytes.Equal(got.Body, want.Body) {
		t.Fatalf("%s: body %q, want %q", reader, got.Body, want.Body)
	}
	g, w := *got, *want
	g.Body, w.Body = nil, nil
	if gs, ws := flat(g), flat(w); gs != ws {
		t.Fatalf("%s: read %s, want %s", reader, gs, ws)
	}
}

func flat(h Hit) string { return fmt.Sprintf("%+v", h) }
