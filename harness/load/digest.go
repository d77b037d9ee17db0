package load

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"

	"github.com/dunglas/httpsfv"
)

// digestWant is what an answer's Content-Digest field (RFC 9530) says about its body.
type digestWant struct {
	sha256, sha512 []byte // nil when the field does not carry it
	unknown        int    // algorithms that are not checked
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
		default:
			want.unknown++
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

// checked reports whether the body will really be compared with something.
func (w digestWant) checked() bool { return w.sha256 != nil || w.sha512 != nil }

// compare says which of the digests the hashes over the whole body do not match; "" when all match.
func (w digestWant) compare(h256, h512 hash.Hash) string {
	var scratch [sha512.Size]byte
	if w.sha256 != nil && !bytes.Equal(h256.Sum(scratch[:0]), w.sha256) {
		return "sha-256"
	}
	if w.sha512 != nil && !bytes.Equal(h512.Sum(scratch[:0]), w.sha512) {
		return "sha-512"
	}
	return ""
}
