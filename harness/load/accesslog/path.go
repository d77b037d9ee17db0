package accesslog

import (
	"bytes"
	"encoding/hex"
)

// pathOf gives the path with its query as it goes on the wire, so that the server sees the bytes it saw before. mended says what had to
// be changed for that; refused says why there is no path.
func pathOf(l *logged) (path []byte, mended, refused Reason) {
	target := l.target
	if rest, ok := cutScheme(target); ok { // absolute-form: RFC 9112, 3.2.2
		i := bytes.IndexAny(rest, "/?#")
		if i < 0 {
			i = len(rest)
		}
		target = rest[i:]
		if len(target) == 0 || target[0] != '/' {
			target = append([]byte{'/'}, target...)
		}
		if !l.absolute {
			mended = AbsoluteURI
		}
	}
	if len(target) == 0 || target[0] != '/' {
		return nil, "", NoPath
	}
	target, _, _ = bytes.Cut(target, []byte{'#'}) // a fragment is no part of what is asked for
	if path = escape(target); len(path) != len(target) {
		mended = Escaped
	}
	return path, mended, ""
}

func cutScheme(target []byte) ([]byte, bool) {
	for _, scheme := range []string{"http://", "https://"} {
		if len(target) >= len(scheme) && bytes.EqualFold(target[:len(scheme)], []byte(scheme)) {
			return target[len(scheme):], true
		}
	}
	return nil, false
}

// escape percent-encodes what a client may not send as it is: control characters, blanks, quotes, backslashes, everything beyond ASCII,
// and a % that begins no escape.
func escape(path []byte) []byte {
	const digits = "0123456789ABCDEF"
	out := path
	copied := false
	for i, c := range path {
		lone := c == '%' && !(i+2 < len(path) && hexadecimal(path[i+1]) && hexadecimal(path[i+2]))
		if c > ' ' && c < 0x7f && c != '"' && c != '\\' && !lone {
			if copied {
				out = append(out, c)
			}
			continue
		}
		if !copied {
			out, copied = append(make([]byte, 0, len(path)+8), path[:i]...), true
		}
		out = append(out, '%', digits[c>>4], digits[c&15])
	}
	return out
}

// unescape undoes what a server did to write a request on one line between quotes. nginx writes \xHH; Apache also \" \\ \n \r \t \b \v
// (ap_escape_logitem). A backslash before anything else is itself: nginx with escape=none writes it so.
func unescape(b []byte) []byte {
	i := bytes.IndexByte(b, '\\')
	if i < 0 {
		return b
	}
	out := append(make([]byte, 0, len(b)), b[:i]...)
	for ; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			out = append(out, b[i])
			continue
		}
		switch c := b[i+1]; {
		case c == 'x' && i+3 < len(b) && hexadecimal(b[i+2]) && hexadecimal(b[i+3]):
			out = append(out, unhex(b[i+2], b[i+3]))
			i += 3
		case plainEscapes[c] != 0:
			out = append(out, plainEscapes[c])
			i++
		default:
			out = append(out, '\\')
		}
	}
	return out
}

var plainEscapes = map[byte]byte{'"': '"', '\\': '\\', 'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'v': '\v'}

// unescapeWith undoes escapes of a mark and two hexadecimal digits: %HH of CloudFront, #HH of HAProxy.
func unescapeWith(mark byte, b []byte) []byte {
	if bytes.IndexByte(b, mark) < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == mark && i+2 < len(b) && hexadecimal(b[i+1]) && hexadecimal(b[i+2]) {
			out = append(out, unhex(b[i+1], b[i+2]))
			i += 2
			continue
		}
		out = append(out, b[i])
	}
	return out
}

func hexadecimal(c byte) bool { return digit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

func unhex(high, low byte) byte {
	var out [1]byte
	_, _ = hex.Decode(out[:], []byte{high, low}) // both are hexadecimal
	return out[0]
}
