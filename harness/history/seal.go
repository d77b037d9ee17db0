package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
)

// A sum is the SHA-256 of a file from its first byte up to the sum, in hexadecimal: `head -c` and sha256sum compute it too. Sums make a
// change of a record known that an accident made, or a tool. They are no signature: whoever makes a record by hand makes its sums too.

const (
	eventSum = `,"sum":"`
	fileSum  = ",\n  \"sum\": \"" // of an object that is indented as WriteJSON does
	sumLen   = 2 * sha256.Size
)

// seal closes the objects of one file, each with a sum over all that is in the file before it. The next sum counts the earlier ones too:
// they are a chain.
type seal struct {
	sum        hash.Hash // of all that was written or read so far
	key, close string
}

func newEventSeal() *seal { return &seal{sum: sha256.New(), key: eventSum, close: "\"}\n"} }

func newFileSeal() *seal { return &seal{sum: sha256.New(), key: fileSum, close: "\"\n}\n"} }

// closed appends the sum as the last member of an object, which comes without its closing brace.
func (s *seal) closed(object []byte) []byte {
	s.sum.Write(object) // a hash never fails
	end := len(object)
	object = append(object, s.key...)
	object = append(object, sumOf(s.sum)...)
	object = append(object, s.close...)
	s.sum.Write(object[end:])
	return object
}

// holds reports whether an object that was read ends with its sum, and follows what was read before it.
func (s *seal) holds(object []byte) bool {
	end := len(object) - len(s.key) - sumLen - len(s.close)
	if end <= 0 {
		return false
	}
	s.sum.Write(object[:end])
	want := s.key + sumOf(s.sum) + s.close
	s.sum.Write(object[end:])
	return string(object[end:]) == want
}

func sumOf(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

func sumOfBytes(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// sealed closes an indented object with its sum.
func sealed(object []byte) []byte {
	return newFileSeal().closed(bytes.TrimSuffix(object, []byte("\n}\n")))
}

// ErrUnsealed is a file that is not as it was written: it was changed since, or carries no sum.
var ErrUnsealed = errors.New("its sum does not fit: it was changed since it was written, or an older rollproof wrote it")

// OpenSealed reads a file that WriteSealed wrote into v. The error is ErrUnsealed where any byte of it was changed.
func OpenSealed(path string, v any) error {
	data, err := readFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	if !newFileSeal().holds(data) {
		return ErrUnsealed
	}
	return nil
}
