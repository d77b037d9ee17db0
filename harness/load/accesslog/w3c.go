package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// w3c reads the W3C extended log format: a line "#Fields:" names the columns of those after it, and may come again.
type w3c struct {
	cloudFront bool
	fields     []string
	cells      [][]byte
}

func (w *w3c) parse(line []byte) (l logged, _ Reason, _ error) {
	if line[0] == '#' {
		if names, ok := bytes.CutPrefix(line, []byte("#Fields:")); ok {
			w.fields = strings.Fields(string(names))
		}
		return l, Directive, nil
	}
	if w.fields == nil {
		return l, "", errors.New("want a line #Fields: before the first request")
	}
	if edge := slices.Contains(w.fields, "x-edge-location"); edge != w.cloudFront {
		return l, "", fmt.Errorf("a log with field x-edge-location is of format cloudfront, one without is of iis: %s", strings.Join(w.fields, " "))
	}
	w.cells = splitCells(w.cells[:0], line)
	if len(w.cells) != len(w.fields) {
		return l, "", fmt.Errorf("want %d fields as #Fields names them, found %d", len(w.fields), len(w.cells))
	}
	var cells [6][]byte
	for i, name := range []string{"date", "time", "cs-method", "cs-uri-stem", "sc-status", "cs-uri-query"} {
		at := slices.Index(w.fields, name)
		switch {
		case at >= 0:
			cells[i] = w.cells[at]
		case name == "cs-uri-query":
			return l, "", errors.New("field cs-uri-query is missing: another path would be asked for than the log's")
		default:
			return l, "", fmt.Errorf("field %s is missing: keep it in the server's log format", name)
		}
	}
	var ok bool
	if l.at, ok = readTime(slices.Concat(cells[0], []byte{' '}, cells[1])); !ok {
		return l, "", fmt.Errorf("date and time %s %s: want them like 2025-10-10 13:55:36", cells[0], cells[1])
	}
	if l.status, ok = readStatus(cells[4]); !ok {
		return l, "", fmt.Errorf("field sc-status: want an HTTP status, found %s", excerpt(cells[4]))
	}
	l.method = cells[2]
	return l, w.target(&l, cells[3], cells[5]), nil
}

// target joins path and query. CloudFront percent-encodes what it writes, a % too (Developer Guide, "Standard log file format"). IIS
// writes the path decoded and a blank as +: what was asked for by a path with + or % in it is not known any more.
func (w *w3c) target(l *logged, stem, query []byte) Reason {
	if w.cloudFront {
		stem, query = unescapeWith('%', stem), unescapeWith('%', query)
	} else if bytes.ContainsAny(stem, "+%") {
		return LostBytes
	}
	l.target = stem
	if string(query) != "-" {
		l.target = slices.Concat(stem, []byte{'?'}, query)
	}
	return ""
}

// splitCells parts a line at its tabs, or at its blanks where it has no tab.
func splitCells(cells [][]byte, line []byte) [][]byte {
	separator := []byte{' '}
	if bytes.IndexByte(line, '\t') >= 0 {
		separator = []byte{'\t'}
	}
	for {
		cell, rest, more := bytes.Cut(line, separator)
		cells = append(cells, cell)
		if !more {
			return cells
		}
		line = rest
	}
}
