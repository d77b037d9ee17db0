package disrupt

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// owners allow what they name, and note what they were asked.
type owners struct {
	nodes, namespaces []string
	asked             []string
}

func (o *owners) Allow(_ context.Context, namespace string) error {
	o.asked = append(o.asked, "namespace "+namespace)
	if slices.Contains(o.namespaces, namespace) {
		return nil
	}
	return errors.New("its owner says no")
}

func (o *owners) AllowNode(_ context.Context, node string, evictable []string) error {
	o.asked = append(o.asked, "node "+node+" with "+strings.Join(evictable, " "))
	if slices.Contains(o.nodes, node) {
		return nil
	}
	return errors.New("its owner says no")
}

// aimed is a disturbance of nodes and namespaces. It picks its nodes from a list when pick is set: another one each time.
type aimed struct {
	nodes, namespaces []string
}

func (aimed) Name() string                                         { return "aimed" }
func (aimed) Target() string                                       { return "what it names" }
func (a aimed) Nodes() []string                                    { return a.nodes }
func (a aimed) Namespaces(context.Context, *Env) ([]string, error) { return a.namespaces, nil }
func (aimed) Do(context.Context, *Act) ([]history.Evidence, error) { return proof, nil }

// fickle drains another node each time that it looks.
type fickle struct{ nodes *[]string }

func (f fickle) next() Drain {
	node := (*f.nodes)[0]
	if len(*f.nodes) > 1 {
		*f.nodes = (*f.nodes)[1:]
	}
	return Drain{Node: node, Retry: time.Millisecond}
}

func (fickle) Name() string   { return "drain" }
func (fickle) Target() string { return "whichever" }
func (fickle) Namespaces(context.Context, *Env) ([]string, error) {
	return []string{"shop"}, nil
}
func (f fickle) PickNodes(context.Context, *Env) ([]string, error) { return f.next().Nodes(), nil }
func (f fickle) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	return f.next().Do(ctx, a)
}

// A node is asked for by itself, with whoever would lose a pod there; what else is disturbed is asked for too.
func TestTheGuardIsAskedForNodes(t *testing.T) {
	for name, c := range map[string]struct {
		d      Disturbance
		owners owners
		asked  string
		want   string // of the refusal; "" when there is leave
	}{
		"a drain of a node that may be": {Drain{Node: "n1", Retry: time.Millisecond}, owners{nodes: []string{"n1"}},
			"node n1 with shop", ""},
		"a drain of a node that may not be": {Drain{Node: "n1"}, owners{namespaces: []string{"shop"}},
			"node n1 with shop", `the guard refuses node "n1": its owner says no`},
		"a node that is picked now": {fickle{&[]string{"n1"}}, owners{}, "node n1 with shop", `refuses node "n1"`},
		"a node, and a namespace that is not on it": {aimed{[]string{"n1"}, []string{"shop", "elsewhere"}}, owners{nodes: []string{"n1"}},
			"node n1 with shop, namespace elsewhere", `refuses namespace "elsewhere"`},
		"two nodes, one of which may not be": {aimed{[]string{"n1", "n2"}, []string{"shop"}}, owners{nodes: []string{"n1"}},
			"node n1 with shop, node n2 with shop", `refuses node "n2"`},
		"a namespace alone": {aimed{nil, []string{"shop"}}, owners{nodes: []string{"n1", "n2"}}, "namespace shop", `refuses namespace "shop"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.node()
			b.put("nodes", "{apiVersion: v1, kind: Node, metadata: {name: n2}, spec: {}}")
			b.kubelet("a", "b")
			b.env.Guard = &c.owners
			err := b.env.Perform(t.Context(), c.d)
			if got := strings.Join(slices.Compact(c.owners.asked), ", "); got != c.asked {
				t.Errorf("the guard was asked for %s, want %s", got, c.asked)
			}
			if c.want == "" {
				if err != nil || !b.cordoned() {
					t.Errorf("error %v, cordoned %v", err, b.cordoned())
				}
				return
			}
			says(t, err, "not begun", c.want)
			if n := b.api.Requests(http.MethodPatch, "") + b.api.Requests(http.MethodPost, ""); n > 0 || b.tape.phases() != "" {
				t.Errorf("%d requests that change something, phases %q", n, b.tape.phases())
			}
		})
	}
}

// What picked one node when it was asked and another one when it began touches neither without leave.
func TestAnotherNodeThanTheOneAskedForIsNotTouched(t *testing.T) {
	b := newBench(t)
	b.node()
	guard := &owners{nodes: []string{"n2"}}
	b.env.Guard = guard
	says(t, b.env.Perform(t.Context(), fickle{&[]string{"n2", "n1"}}), `the guard refuses node "n1"`)
	if n := b.api.Requests(http.MethodPatch, "/n1"); n > 0 || b.cordoned() {
		t.Errorf("node n1 was patched %d times, cordoned %v", n, b.cordoned())
	}
}
