package main

import (
	"bytes"
	"strings"
	"testing"
)

// rendering is what `rollproof stack render` prints with the given arguments, and its exit code.
func rendering(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	root := newRootCommand()
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(append([]string{"stack", "render"}, args...))
	code = execute(t.Context(), root)
	return stdout.String(), stderr.String(), code
}

func TestStackRender(t *testing.T) {
	t.Chdir("../..")
	clean, errs, code := rendering(t, "bitvaultd", "--pace", "spec")
	if code != exitPass || errs != "" {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{"kind: Rollout", "setWeight: 10", "progressDeadlineSeconds: 600", "image: not-published.invalid/bitvaultd@sha256:"} {
		if !strings.Contains(clean, want) {
			t.Errorf("the manifests lack %q", want)
		}
	}
	if strings.Contains(clean, "kind: ClusterRole") {
		t.Error("a component that was not named is printed")
	}
	stores, errs, code := rendering(t, "bitvaultd", "--with", "stores")
	if code != exitPass || !strings.Contains(stores, "name: BITVAULT_POSTGRES") || strings.Contains(clean, "BITVAULT_") {
		t.Errorf("exit code %d: %s; printed\n%s", code, errs, stores)
	}
	planted, errs, code := rendering(t, "bitvaultd", "--fault", "no-budget", "--fault", "no-pre-stop")
	if code != exitPass || strings.Contains(planted, "kind: PodDisruptionBudget") || !strings.Contains(planted, "# removed where it is there: PodDisruptionBudget bitvault/bitvaultd") {
		t.Errorf("exit code %d: %s; printed\n%s", code, errs, planted)
	}
}

func TestStackRenderNamesWhatIsMistyped(t *testing.T) {
	t.Chdir("../..")
	for want, args := range map[string][]string{
		`there is no fault "no-budgett": did you mean no-budget?`:   {"--fault", "no-budgett"},
		`there is no pace "spek": did you mean spec?`:               {"--pace", "spek"},
		`there is no variant "store": did you mean stores?`:         {"--with", "store"},
		`there is no component "bitvault": did you mean bitvaultd?`: {"bitvault"},
	} {
		out, errs, code := rendering(t, args...)
		if code != exitCouldNotRun || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: exit code %d, printed %q and %q; want one line with %q", args, code, out, errs, want)
		}
	}
}
