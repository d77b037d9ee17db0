package words

import (
	"fmt"
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
	return trimmed(strconv.FormatFloat(p, 'f', decimals, 64)) + " %"
}

// Span writes a duration in three significant digits, and from a minute on in whole seconds or minutes: 500 ms, 4.01 s, 1 min 30 s, 2 h 5 min.
func Span(d time.Duration) string { return span(d, trimmed) }

// Column is Span for a column of figures, which has all three digits in each row: 4.00 ms.
func Column(d time.Duration) string { return span(d, func(number string) string { return number }) }

// span writes a duration; shown is how it writes a number with decimals.
func span(d time.Duration, shown func(string) string) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "-" + span(-d, shown)
	case d == 0:
		return "0 s"
	case d < 999500*time.Nanosecond:
		return shown(digits(d, time.Microsecond)) + " µs"
	case d < 999500*time.Microsecond:
		return shown(digits(d, time.Millisecond)) + " ms"
	case d < 59950*time.Millisecond:
		return shown(digits(d, time.Second)) + " s"
	case d.Round(time.Second) < time.Hour:
		return whole(d, time.Minute, "min", time.Second, "s")
	case d.Round(time.Minute) < day:
		return whole(d, time.Hour, "h", time.Minute, "min")
	}
	return whole(d, day, "d", time.Hour, "h")
}

// digits writes how many units a duration has, in three significant digits: 4.00, 4.01, 40.1.
func digits(d, unit time.Duration) string {
	n := float64(d) / float64(unit)
	decimals := 2 - min(2, int(math.Floor(math.Log10(max(n, 1))+1e-4))) // 9.999 is written as 10
	return strconv.FormatFloat(n, 'f', decimals, 64)
}

// trimmed leaves out decimals that are zero.
func trimmed(number string) string {
	if !strings.Contains(number, ".") {
		return number
	}
	return strings.TrimRight(strings.TrimRight(number, "0"), ".")
}

// whole writes a duration in two units, and in the larger one alone where nothing is left for the smaller.
func whole(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	d = d.Round(small)
	text := fmt.Sprintf("%d %s", d/large, largeName)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return text
}

// Plural is the noun with its number: 1 hit, 2 hits.
func Plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}
