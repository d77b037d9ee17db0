package history

import (
	_ "embed" // for preamble
	"encoding/binary"
	"encoding/gob"
	"errors"
	"io"
	"math/bits"
	"time"
)

// wireHit is a Hit as the gob stream holds it. The first eleven fields carry the names and types of vegeta's Result, and gob
// matches by name: vegeta's decoder reads the stream and passes over the rest.
//
// The stream is plain gob, but encoding/gob needs 2 us a hit and the judges read millions: the functions below write and
// read this one type by hand, by the rules in the encoding/gob package documentation ("Encoding Details"). A stream of any
// other shape (an older record, or vegeta's own results) goes through encoding/gob.
type wireHit struct {
	Attack    string
	Seq       uint64
	Code      uint16
	Timestamp time.Time
	Latency   time.Duration
	BytesOut  uint64
	BytesIn   uint64
	Error     string
	Body      []byte
	Method    string
	URL       string

	Intended time.Duration
	Window   int
	Version  string
	Pod      string
	Class    uint8
	Reason   string
	Masked   int
	Unsent   bool
	Route    string
	Digest   bool
	Echoed   bool
}

const (
	maxMessage = 1 << 20 // bytes of one hit; a longer one is damage
	wireFields = 22
	gobTimeLen = 15 // bytes of time.Time's binary form, version 1
	// unixToInternal is the seconds between year 1, where time.Time's binary form counts from, and 1970.
	unixToInternal = 62135596800
)

// preamble is what encoding/gob writes before the first wireHit: its type definitions. It is kept as a file because the
// numbers in it depend on what else a process has encoded, and a stream is recognised by these very bytes.
//
//go:embed hit.gobtype
var preamble []byte

// olderPreamble defines a wireHit without its last fields (Digest, Echoed), as it was when format 2 was new. All else is alike.
//
//go:embed hit2.gobtype
var olderPreamble []byte

// typeNumber is the number that the preamble gives wireHit: definitions carry it negated.
var typeNumber = func() int64 {
	_, n := uvarint(preamble)
	id, _ := varint(preamble[n:])
	return -id
}()

// appendHit appends one gob message. started is the wall time of the run's start.
func appendHit(dst []byte, h *Hit, started time.Time, scratch *[]byte) []byte {
	e := fieldEncoder{buf: appendVarint((*scratch)[:0], typeNumber), last: -1}
	e.string(0, h.Arm)
	e.uint(1, h.Seq)
	e.uint(2, uint64(h.Code))
	e.time(3, started.Add(h.At))
	e.int(4, int64(h.Latency))
	e.uint(5, h.BytesOut)
	e.uint(6, h.BytesIn)
	e.string(7, h.Error)
	e.bytes(8, h.Body)
	e.string(9, h.Method)
	e.string(10, h.URL)
	e.int(11, int64(h.Intended))
	e.int(12, int64(h.Window))
	e.string(13, h.Version)
	e.string(14, h.Pod)
	e.uint(15, uint64(h.Class))
	e.string(16, h.Reason)
	e.int(17, int64(h.Masked))
	e.bool(18, h.Unsent)
	e.string(19, h.Route)
	e.bool(20, h.Digest)
	e.bool(21, h.Echoed)
	e.buf = append(e.buf, 0)
	*scratch = e.buf
	return append(appendUvarint(dst, uint64(len(e.buf))), e.buf...)
}

// fieldEncoder writes the fields of a struct: each is the distance from the field before it, then the value; zero values
// are left out.
type fieldEncoder struct {
	buf  []byte
	last int
}

func (e *fieldEncoder) field(n int) {
	e.buf = appendUvarint(e.buf, uint64(n-e.last))
	e.last = n
}

func (e *fieldEncoder) uint(n int, v uint64) {
	if v != 0 {
		e.field(n)
		e.buf = appendUvarint(e.buf, v)
	}
}

func (e *fieldEncoder) int(n int, v int64) {
	if v != 0 {
		e.field(n)
		e.buf = appendVarint(e.buf, v)
	}
}

func (e *fieldEncoder) bool(n int, v bool) {
	if v {
		e.uint(n, 1)
	}
}

func (e *fieldEncoder) string(n int, v string) {
	if v != "" {
		e.field(n)
		e.buf = append(appendUvarint(e.buf, uint64(len(v))), v...)
	}
}

func (e *fieldEncoder) bytes(n int, v []byte) {
	if len(v) != 0 {
		e.field(n)
		e.buf = append(appendUvarint(e.buf, uint64(len(v))), v...)
	}
}

func (e *fieldEncoder) time(n int, t time.Time) {
	e.field(n)
	e.buf = append(e.buf, gobTimeLen, 1) // length, version
	e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(t.Unix()+unixToInternal))
	e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(t.Nanosecond()))
	e.buf = append(e.buf, 0xff, 0xff) // UTC
}

// errMalformed is a message that is no hit: the stream is damaged from here on.
var errMalformed = errors.New("malformed hit")

// decodeHit reads the payload of one message into h. Strings are shared through names.
func decodeHit(msg []byte, h *Hit, started time.Time, names *interner) error {
	id, n := varint(msg)
	if id != typeNumber { // of no number at all, too: it is not 0
		return errMalformed
	}
	*h = Hit{Body: h.Body[:0]}
	d := fieldDecoder{buf: msg[n:]}
	for field := -1; ; {
		delta := d.uint()
		if d.bad || delta > wireFields {
			return errMalformed
		}
		if delta == 0 {
			break
		}
		field += int(delta)
		switch field {
		case 0:
			h.Arm = names.intern(&names.arm, d.bytes())
		case 1:
			h.Seq = d.uint()
		case 2:
			h.Code = uint16(d.uint())
		case 3:
			h.At = d.time().Sub(started)
		case 4:
			h.Latency = time.Duration(d.int())
		case 5:
			h.BytesOut = d.uint()
		case 6:
			h.BytesIn = d.uint()
		case 7:
			h.Error = names.intern(&names.err, d.bytes())
		case 8:
			h.Body = append(h.Body, d.bytes()...)
		case 9:
			h.Method = names.intern(&names.method, d.bytes())
		case 10:
			h.URL = names.intern(&names.url, d.bytes())
		case 11:
			h.Intended = time.Duration(d.int())
		case 12:
			h.Window = int(d.int())
		case 13:
			h.Version = names.intern(&names.version, d.bytes())
		case 14:
			h.Pod = names.intern(&names.pod, d.bytes())
		case 15:
			h.Class = Class(d.uint())
		case 16:
			h.Reason = names.intern(&names.reason, d.bytes())
		case 17:
			h.Masked = int(d.int())
		case 18:
			h.Unsent = d.uint() != 0
		case 19:
			h.Route = names.intern(&names.route, d.bytes())
		case 20:
			h.Digest = d.uint() != 0
		case 21:
			h.Echoed = d.uint() != 0
		default:
			return errMalformed
		}
	}
	if d.bad || len(d.buf) != 0 {
		return errMalformed
	}
	return nil
}

// fieldDecoder reads values off a message; bad is set once the message is too short or a value makes no sense.
type fieldDecoder struct {
	buf []byte
	bad bool
}

func (d *fieldDecoder) uint() uint64 {
	v, n := uvarint(d.buf) // 0 of 0 bytes, where that is none
	d.bad = d.bad || n == 0
	d.buf = d.buf[n:]
	return v
}

func (d *fieldDecoder) int() int64 { return unzigzag(d.uint()) }

func (d *fieldDecoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.buf)) {
		d.bad, d.buf = true, nil
		return nil
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b
}

func (d *fieldDecoder) time() time.Time {
	b := d.bytes()
	if len(b) != gobTimeLen || b[0] != 1 {
		d.bad = true
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b[1:]))-unixToInternal, int64(binary.BigEndian.Uint32(b[9:])))
}

// interner shares equal strings: a run of millions of hits names a handful of pods. Each field remembers its last value,
// which is mostly the next one too. It forgets everything when it has grown large, so that memory stays flat.
type interner struct {
	arm, err, method, url, version, pod, reason, route string

	seen map[string]string
}

const maxInterned = 1 << 14

func (in *interner) intern(last *string, b []byte) string {
	if string(b) == *last {
		return *last
	}
	s, ok := in.seen[string(b)]
	if !ok {
		if in.seen == nil || len(in.seen) >= maxInterned {
			in.seen = make(map[string]string)
		}
		s = string(b)
		in.seen[s] = s
	}
	*last = s
	return s
}

// appendUvarint appends gob's unsigned integer: below 128 one byte, else the negated count of bytes and the bytes.
func appendUvarint(dst []byte, v uint64) []byte {
	if v < 0x80 {
		return append(dst, byte(v))
	}
	n := (bits.Len64(v) + 7) / 8
	dst = append(dst, ^byte(n-1))
	for shift := (n - 1) * 8; shift >= 0; shift -= 8 {
		dst = append(dst, byte(v>>shift))
	}
	return dst
}

func appendVarint(dst []byte, v int64) []byte {
	if v < 0 {
		return appendUvarint(dst, uint64(^v)<<1|1)
	}
	return appendUvarint(dst, uint64(v)<<1)
}

// uvarint reads gob's unsigned integer and how many bytes it took: 0 when b is too short or no such integer.
func uvarint(b []byte) (uint64, int) {
	if len(b) == 0 {
		return 0, 0
	}
	if b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	n := int(^b[0]) + 1
	if n > 8 || len(b) < 1+n {
		return 0, 0
	}
	var v uint64
	for _, c := range b[1 : 1+n] {
		v = v<<8 | uint64(c)
	}
	return v, 1 + n
}

func varint(b []byte) (int64, int) {
	v, n := uvarint(b)
	return unzigzag(v), n
}

func unzigzag(v uint64) int64 {
	if v&1 != 0 {
		return ^int64(v >> 1)
	}
	return int64(v >> 1)
}

// foreignHits reads a gob stream of another shape by encoding/gob, which matches fields by name.
func foreignHits(r io.Reader, started time.Time, yield func(*Hit) bool) error {
	dec := gob.NewDecoder(r)
	for {
		var w wireHit
		if err := dec.Decode(&w); err != nil {
			return err
		}
		h := w.hit(started)
		if !yield(&h) {
			return nil
		}
	}
}

func (w *wireHit) hit(started time.Time) Hit {
	h := Hit{
		Arm: w.Attack, Seq: w.Seq, Code: w.Code, At: w.Timestamp.Sub(started), Latency: w.Latency,
		BytesOut: w.BytesOut, BytesIn: w.BytesIn, Error: w.Error, Body: w.Body, Method: w.Method, URL: w.URL,
		Intended: w.Intended, Window: w.Window, Version: w.Version, Pod: w.Pod,
		Class: Class(w.Class), Reason: w.Reason, Masked: w.Masked, Unsent: w.Unsent, Route: w.Route,
		Digest: w.Digest, Echoed: w.Echoed,
	}
	if h.Class == ClassOK && (h.Code == 0 || h.Error != "") {
		h.Class, h.Reason = ClassAmbiguous, "unclassified" // whoever wrote this stream did not classify
	}
	return h
}
