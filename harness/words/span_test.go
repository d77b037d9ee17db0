package words

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for text, want := range map[string]string{
		"0s": "0 s", "300ns": "0.3 µs", "1us": "1 µs", "12345ns": "12.3 µs", "999499ns": "999 µs", "999500ns": "1 ms",
		"1ms": "1 ms", "5.714ms": "5.71 ms", "9.999ms": "10 ms", "12.34ms": "12.3 ms", "94ms": "94 ms", "99.96ms": "100 ms", "606ms": "606 ms",
		"999.499ms": "999 ms", "999.5ms": "1 s", "1s": "1 s", "4.01s": "4.01 s", "4.5s": "4.5 s", "9.996s": "10 s", "10.04s": "10 s", "20s": "20 s", "42.35s": "42.4 s",
		"59.94s": "59.9 s", "59.95s": "1 min", "1m0s": "1 min", "1m0.6s": "1 min 1 s", "1m30s": "1 min 30 s", "59m59.4s": "59 min 59 s", "59m59.5s": "1 h",
		"1h0m20s": "1 h", "2h5m": "2 h 5 min", "23h59m31s": "1 d", "26h": "1 d 2 h", "-1m30s": "-1 min 30 s", "-94ms": "-94 ms",
	} {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Span(d); got != want {
			t.Errorf("%s is written %q, want %q", text, got, want)
		}
	}
}

func TestAColumnHasAllDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 4 * time.Millisecond: "4.00 ms", 12500 * time.Microsecond: "12.5 ms", 606 * time.Millisecond: "606 ms", 9999 * time.Microsecond: "10.0 ms", -4 * time.Second: "-4.00 s",
		90 * time.Second: "1 min 30 s",
	} {
		if got := Column(d); got != want {
			t.Errorf("%s is written %q, want %q", d, got, want)
		}
	}
}
