package reports

import (
	"fmt"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
)

// failing is an arm whose hits fail in two ways: every third by a reset of one pod, the others by a redirect of another.
func failing(arm string, n int) *fold {
	f := newFold(arm, disturbed{})
	for i := range n {
		h := history.Hit{Arm: arm, Seq: uint64(i), At: time.Duration(i) * time.Millisecond, Latency: time.Millisecond, Method: "POST", URL: "http://host/a b"}
		if i%3 == 0 {
			h.Class, h.Reason, h.Error, h.Pod, h.Version = history.ClassApplication, "reset", "connection reset", "pod-a", "v1"
		} else {
			h.Class, h.Reason, h.Code, h.Pod = history.ClassIngress, "status 302", 302, "pod-b"
			h.Error = "expected 200, found 302 Found, which redirects to /login"
		}
		f.add(&h)
	}
	return f
}

// firstFindings are what a judge keeps of an arm: the first of its drops, and its outage.
func firstFindings(arm string, n int) []judge.Finding {
	var findings []judge.Finding
	for i := range n {
		class := history.ClassIngress
		if i%3 == 0 {
			class = history.ClassApplication
		}
		at := time.Duration(i) * time.Millisecond
		findings = append(findings, judge.Finding{At: at, Until: at + time.Millisecond, Arm: arm, Hit: fmt.Sprintf("%s/%d", arm, i), Class: class.String(), Text: "dropped"})
	}
	return append(findings, judge.Finding{Until: time.Second, Arm: arm, Hit: arm + "/0", Class: "outage", Text: "longest outage"})
}

func groupsOf(t *Timeline, p judge.Promise) []*group {
	return t.judgedPromises(judge.Result{Promises: []judge.Promise{p}})[0].Groups
}

func TestFindingsAreGroupedByKind(t *testing.T) {
	get := &timeline.Arm{Name: "get", Windows: []*timeline.Window{{Window: history.Window{Arm: "get", Deadline: 5 * time.Second}}}}
	shown := told(timeline.Timeline{Arms: []*timeline.Arm{get}}, failing("get", 30))
	groups := groupsOf(shown, judge.Promise{Slug: droppedSlug, Findings: firstFindings("get", 30), Found: 31})
	if len(groups) != 3 {
		t.Fatalf("%d groups, want redirects, resets and the outage", len(groups))
	}
	for i, want := range []struct {
		title, facts, expected, found, again string
	}{
		{"20 × status 302", "[charged to the ingress 0.001 s to 0.029 s arm get pod pod-b]", "one complete, correct answer within 5 s",
			"status 302: expected 200, found 302 Found, which redirects to /login", "curl -sS -i --max-time 5 -X POST 'http://host/a b'"},
		{"10 × reset", "[charged to the application 0.000 s to 0.027 s arm get version v1 pod pod-a]", "one complete, correct answer within 5 s",
			"connection reset", "curl -sS -i --max-time 5 -X POST 'http://host/a b'"},
		{"1 × longest outage of an arm", "[0.000 s to 1.000 s arm get]", "", "", ""},
	} {
		g := groups[i]
		if g.title() != want.title || fmt.Sprint(g.facts()) != want.facts || g.Expected != want.expected || g.Found != want.found || g.Again != want.again {
			t.Errorf("group %d: %q %q, expected %q, found %q, again %q\nwant %+v", i, g.title(), g.facts(), g.Expected, g.Found, g.Again, want)
		}
	}
}

// A judgement keeps its first findings only. The counts, the last time, the arms and the pods are those of the whole record all the same,
// without the control arm.
func TestGroupsCountWhatTheJudgementLeftOut(t *testing.T) {
	shown := told(timeline.Timeline{Arms: []*timeline.Arm{{Name: "control", Control: true}}}, failing("get", 3000), failing("post", 300), failing("control", 90))
	groups := groupsOf(shown, judge.Promise{Slug: droppedSlug, Findings: firstFindings("get", 10), Found: 3301})
	if g := groups[0]; g.Count != 2200 || g.Last != 2999*time.Millisecond || fmt.Sprint(g.Arms) != "[get post]" || len(g.Raw) != 6 {
		t.Errorf("redirects: %d until %v of arms %v, %d kept; want 2200 until 2.999s of get and post, 6 kept", g.Count, g.Last, g.Arms, len(g.Raw))
	}
	if g := groups[1]; g.Count != 1100 {
		t.Errorf("%d resets, want 1100", g.Count)
	}
}

// What is about no failed hit is a kind of its own as long as it says the same.
func TestOtherFindingsAreGroupedByWhatTheySay(t *testing.T) {
	groups := groupsOf(told(timeline.Timeline{}), judge.Promise{Slug: "mechanics.pdb", Found: 3, Findings: []judge.Finding{
		{At: 1, Text: "a"}, {At: 2, Text: "b"}, {At: 3, Text: "a"},
	}})
	if len(groups) != 2 || groups[0].title() != "2 × a" || groups[1].title() != "1 × b" {
		t.Errorf("%d groups, the first %q", len(groups), groups[0].title())
	}
}
