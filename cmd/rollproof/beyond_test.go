package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/judge"
)

// A load that the generator cannot send, a real one, proves nothing: it is no drop, and nobody of the product waited.
func TestALoadThatCannotBeSentIsInconclusiveAndNoRed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(10 * time.Millisecond): // the slow server is what is tried here
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	out := filepath.Join(t.TempDir(), "run")
	code, text, errs := rollproofCommand(t.Context(), "attack", "--target", server.URL, "--rate", "3000/s", "--duration", "2s", "--max-workers", "1",
		"--deadline", "2s", "--out", out)
	if code != exitInconclusive {
		t.Errorf("exit code %d, printed %s%s", code, text, errs)
	}
	data, err := os.ReadFile(filepath.Join(out, "verdict.json"))
	if err != nil {
		t.Fatal(err)
	}
	var result judge.Result
	if err := json.Unmarshal(data, &result); err != nil {
		t.Fatal(err)
	}
	held := false
	for _, p := range result.Promises {
		if p.Verdict == judge.Fail {
			t.Errorf("%s is fail: %s", p.Slug, p.Reason)
		}
		if p.Slug == "load.held" {
			held = true
			if p.Verdict != judge.Inconclusive {
				t.Errorf("%s is %s: %s", p.Slug, p.Verdict, p.Reason)
			}
		}
		if p.Verdict == judge.Pass && p.Slug == "load.zero-dropped" {
			t.Errorf("%s passes: %s", p.Slug, p.Reason)
		}
	}
	if !held {
		t.Error("load.held was not judged")
	}
}
