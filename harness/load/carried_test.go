package load

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestARateBeyondWhatWasCarriedIsTold(t *testing.T) {
	c := OpenCarried(filepath.Join(t.TempDir(), "sub", "carried.json"))
	if said := c.Beyond("run", 1000); said != "" {
		t.Errorf("nothing is known, and it says %q", said)
	}
	for _, rate := range []float64{200, 800, 500} {
		if err := c.Saw("run", rate); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct {
		kind string
		rate float64
		told bool
	}{{"run", 800, false}, {"run", 200, false}, {"run", 801, true}, {"attack", 5000, false}}
	for _, k := range cases {
		said := c.Beyond(k.kind, k.rate)
		if (said != "") != k.told || k.told && !strings.Contains(said, "(800/s)") {
			t.Errorf("%s at %g/s: %q, want told = %v", k.kind, k.rate, said, k.told)
		}
	}
}

func TestADamagedMemoryOfRatesIsEmpty(t *testing.T) {
	for _, content := range []string{"", "{", "null", "[]", `{"run":"x"}`} {
		path := filepath.Join(t.TempDir(), "carried.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c := OpenCarried(path)
		if said := c.Beyond("run", 1e6); said != "" {
			t.Errorf("%q says %q", content, said)
		}
		if err := c.Saw("run", 10); err != nil || c.Most("run") != 10 {
			t.Errorf("%q: %v, most %g", content, err, c.Most("run"))
		}
	}
}
