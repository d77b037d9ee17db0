package load

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"net/http"
	"strings"

	"github.com/dunglas/httpsfv"
)

// digestWant is what an answer's Content-Digest field (RFC 9530) says about its body. Other algorithms are not checked.
type digestWant struct {
	sha256, sha512 []byte // nil when the field does not carry it
}

const sha256Prefix = "sha-256=:"

// parseDigest reads the lines of a Content-Digest field, a dictionary of byte sequences (RFC 8941, 3.2). buf is where a lone
// SHA-256, which nearly every answer has, is put without allocating.
func parseDigest(lines []string, buf *[sha256.Size]byte) (digestWant, error) {
	if len(lines) == 1 {
		if value, ok := strings.CutPrefix(lines[0], sha256Prefix); ok && len(value) == 45 && value[44] == ':' {
			var sum [33]byte // 44 characters decode to 33 bytes at most
			if n, err := base64.StdEncoding.Decode(sum[:], []byte(value[:44])); err == nil && n == sha256.Size {
				copy(buf[:], sum[:])
				return digestWant{sha256: buf[:]}, nil
			}
		}
	}
	return parseDigestFully(lines)
}

func parseDigestFully(lines []string) (digestWant, error) {
	var want digestWant
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return want, fmt.Errorf("Content-Digest %q is no dictionary of RFC 8941: %w", strings.Join(lines, ", "), err)
	}
	for _, name := range dict.Names() {
		switch name {
		case "sha-256":
			want.sha256, err = digestBytes(dict, name, sha256.Size)
		case "sha-512":
			want.sha512, err = digestBytes(dict, name, sha512.Size)
		}
		if err != nil {
			return want, err
		}
	}
	return want, nil
}

func digestBytes(dict *httpsfv.Dictionary, name string, size int) ([]byte, error) {
	member, _ := dict.Get(name)
	item, ok := member.(httpsfv.Item)
	if !ok {
		return nil, fmt.Errorf("Content-Digest member %s is no byte sequence", name)
	}
	sum, ok := item.Value.([]byte)
	if !ok || len(sum) != size {
		return nil, fmt.Errorf("Content-Digest member %s is no byte sequence of %d bytes", name, size)
	}
	return sum, nil
}

// hashed is which hashes are taken of a body while it is read.
type hashed struct{ sha256, sha512 bool }

// digests are what an answer says of its body, in its head and in its trailer.
type digests struct {
	hashed
	carried   bool // there is one
	bodyless  bool // there is nothing to compare one with
	head      digestWant
	trailer   digestWant
	malformed error
}

// digestsOf reads the head of an answer, and decides what its body is hashed by. A trailer that is announced (RFC 9110, 6.6.2) may bring any
// digest. One that is not may come where nothing says how long the body is, and in HTTP/2 after any body (RFC 9113, 8.1).
func digestsOf(resp *http.Response, bodyless bool, buf *[sha256.Size]byte) digests {
	lines := resp.Header["Content-Digest"]
	d := digests{carried: len(lines) > 0, bodyless: bodyless}
	if bodyless {
		return d
	}
	if d.carried {
		d.head, d.malformed = parseDigest(lines, buf)
	}
	_, announced := resp.Trailer["Content-Digest"]
	maybe := announced || resp.ContentLength < 0 || resp.ProtoMajor >= 2
	d.sha256 = d.head.sha256 != nil || maybe
	d.sha512 = d.head.sha512 != nil || maybe
	return d
}

// addTrailer reads the trailer of an answer, which is there when its body was read.
func (d *digests) addTrailer(resp *http.Response) {
	lines := resp.Trailer["Content-Digest"]
	if len(lines) == 0 {
		return
	}
	d.carried = true
	if d.malformed == nil {
		d.trailer, d.malformed = parseDigest(lines, new([sha256.Size]byte))
	}
}

// comparable reports whether the answer carries a digest that the body can be compared with. One that is empty, or only of algorithms that
// are not checked, shows nothing of the body.
func (d *digests) comparable() bool {
	in := func(want *digestWant) bool {
		return d.hashed.sha256 && want.sha256 != nil || d.hashed.sha512 && want.sha512 != nil
	}
	return in(&d.head) || in(&d.trailer)
}

// compare reports whether there was something to compare the hashes over the whole body with, and which algorithm's digest they do not
// match; "" when all match.
func (d *digests) compare(h256, h512 hash.Hash) (compared bool, unlike string) {
	var scratch [sha512.Size]byte
	for _, want := range []*digestWant{&d.head, &d.trailer} {
		if d.hashed.sha256 && want.sha256 != nil {
			compared = true
			if !bytes.Equal(h256.Sum(scratch[:0]), want.sha256) {
				return true, "sha-256"
			}
		}
		if d.hashed.sha512 && want.sha512 != nil {
			compared = true
			if !bytes.Equal(h512.Sum(scratch[:0]), want.sha512) {
				return true, "sha-512"
			}
		}
	}
	return compared, ""
}
