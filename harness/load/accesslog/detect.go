package accesslog

import (
	"bytes"
	"cmp"
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

// choose finds the format by its name, or by the log. It never takes one of two that fit as well.
func (l *Log) choose(name string, sample []byte) (Format, error) {
	if name != "" && name != Auto {
		format, err := formatOf(name)
		l.Format = name
		return format, err
	}
	all := fits(sample)
	best, second := all[0], all[1]
	l.Format, l.Detected = best.Name, true
	switch {
	case best.good > 0 && best.good == second.good:
		return Format{}, fmt.Errorf("it may be %s or %s: name the format by --from", best.Name, second.Name)
	case best.good == 0 || best.odd > best.good:
		return Format{}, fmt.Errorf("no known format fits: %d of the first %d lines are of %s, which fits best; the formats are %s; the log begins %s",
			best.good, best.good+best.odd, best.Name, strings.Join(FormatNames()[1:], ", "), excerpt(firstLine(sample)))
	}
	return best.Format, nil
}

// suggest names the format that fits better than the one that did not.
func suggest(format Format, sample []byte) string {
	if best := fits(sample)[0]; best.Name != format.Name && best.good > best.odd {
		return fmt.Sprintf("%s fits better: use --from %s", best.Name, best.Name)
	}
	return "no other known format fits better"
}

func firstLine(sample []byte) []byte {
	for line := range bytes.Lines(sample) {
		if len(bytes.TrimSpace(line)) > 0 {
			return bytes.TrimRight(line, "\r\n")
		}
	}
	return nil
}
