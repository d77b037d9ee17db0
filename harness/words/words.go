package words

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Plurals is plural for a noun that does not take an s.
func Plurals(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

// Count writes a number with its thousands apart: 30 000.
func Count(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// Percent writes a share with two significant digits: 0.01 %.
func Percent(share float64) string {
	p := share * 100
	decimals := 0
	if p > 0 && p < 10 {
		decimals = min(1-int(math.Floor(math.Log10(p))), 12)
	}
	s := strconv.FormatFloat(p, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s + " %"
}

// Span writes a duration with three significant digits or so.
func Span(d time.Duration) string {
	unit := time.Nanosecond
	for _, u := range []time.Duration{time.Microsecond, 10 * time.Microsecond, 100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond} {
		if d.Abs() >= 100*u {
			unit = u
		}
	}
	return d.Round(unit).String()
}

// Plural is the noun with its number: 1 hit, 2 hits.
func Plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}
