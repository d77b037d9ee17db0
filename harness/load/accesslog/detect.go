package accesslog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// fit says how well a format suits the beginning of a log.
type fit struct {
	Format
	good, odd int // lines that are of it and that are not; those beside the requests count for neither
}

// fits tries every format, best first.
func fits(sample []byte) []fit {
	if end := bytes.LastIndexByte(sample, '\n'); end >= 0 && len(sample) == sampleSize {
		sample = sample[:end] // the last line is cut off
	}
	var all []fit
	for _, format := range Formats() {
		f, parse := fit{Format: format}, format.open()
		for line := range bytes.Lines(sample) {
			switch _, left, _, _ := replayable(parse, bytes.TrimRight(line, "\r\n")); {
			case left.odd():
				f.odd++
			case left != Blank && left != Directive && left != OtherProgram:
				f.good++
			}
		}
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b fit) int { return cmp.Compare(b.good, a.good) })
	return all
}

// detect finds the format of a log. It never takes one of two that fit as well.
func detect(sample []byte) (*Format, error) {
	all := fits(sample)
	best, second := all[0], all[1]
	switch {
	case best.good > 0 && best.good == second.good:
		return nil, fmt.Errorf("it may be %s or %s: name the format by --from", best.Name, second.Name)
	case best.good+best.odd == 0:
		return nil, errors.New("it holds no line of a log")
	case best.good == 0:
		return nil, fmt.Errorf("none of its first %d lines is of a known format (%s); it begins %s", best.odd, formatList(), excerpt(firstLine(sample)))
	case best.odd > best.good:
		return nil, fmt.Errorf("no known format fits: %s fits best, and only %d of the first %d lines are of it: name the format by --from",
			best.Name, best.good, best.good+best.odd)
	}
	return &best.Format, nil
}

// suggest names the format that fits better than the one that did not.
func suggest(format *Format, sample []byte) string {
	if best := fits(sample)[0]; best.Name != format.Name && best.good > best.odd {
		return fmt.Sprintf("%s fits better: use --from %s", best.Name, best.Name)
	}
	return "no other known format fits better"
}

func formatList() string {
	var names []string
	for _, f := range Formats() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

func firstLine(sample []byte) []byte {
	for line := range bytes.Lines(sample) {
		if len(bytes.TrimSpace(line)) > 0 {
			return bytes.TrimRight(line, "\r\n")
		}
	}
	return nil
}
