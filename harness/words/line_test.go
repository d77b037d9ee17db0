package words

import "testing"

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{"": "", "a b": "a b", " yaml: line 2:\n\tfound\r\n a tab \n": "yaml: line 2: found a tab"} {
		if got := OneLine(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
