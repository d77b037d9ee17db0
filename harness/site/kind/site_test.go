package kind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/exec"

	"bitvault.dev/rollproof/harness/site"
)

// yard makes and removes clusters, and notes it. An error of ups is what making one ends with, once.
type yard struct {
	ups   []error
	found bool // the first one is there already
	made  int
	diary []string
}

func (y *yard) Up(context.Context, UpOptions) (*Cluster, UpReport, error) {
	var err error
	if len(y.ups) > 0 {
		err, y.ups = y.ups[0], y.ups[1:]
	}
	if err != nil {
		y.diary = append(y.diary, "up failed")
		return nil, UpReport{}, err
	}
	y.made++
	y.diary = append(y.diary, "up")
	return &Cluster{uid: fmt.Sprint(y.made)}, UpReport{Existing: y.found && y.made == 1}, nil
}

func (y *yard) Down(context.Context, string, func(string, ...any)) (bool, error) {
	y.diary = append(y.diary, "down")
	return true, nil
}

func (y *yard) Close() error { y.diary = append(y.diary, "close"); return nil }

func (y *yard) site(t *testing.T) *Site {
	use := func(_ context.Context, c *Cluster) (site.Cluster, error) {
		return site.Cluster{UID: c.uid, Ours: true}, nil
	}
	return &Site{manager: y, use: use, say: t.Logf}
}

func TestAClusterOfOursIsMadeAnewAfterItWasBroken(t *testing.T) {
	sick := fmt.Errorf("cluster x exists but is %w", ErrUnhealthy)
	ready := func(s *Site) error { _, err := s.Ready(context.Background()); return err }
	for name, c := range map[string]struct {
		yard  yard
		use   func(*Site) error
		diary string
	}{
		"made, used twice, removed":      {yard{}, func(s *Site) error { return errors.Join(ready(s), ready(s)) }, "up, down, close"},
		"found and left":                 {yard{found: true}, ready, "up, close"},
		"made and kept":                  {yard{}, func(s *Site) error { s.Keep(); return ready(s) }, "up, close"},
		"broken, made anew":              {yard{}, func(s *Site) error { err := ready(s); s.Break("a run"); return errors.Join(err, ready(s)) }, "up, down, up, down, close"},
		"found, broken, made anew":       {yard{found: true}, func(s *Site) error { err := ready(s); s.Break("a run"); return errors.Join(err, ready(s)) }, "up, down, up, down, close"},
		"broken, and nobody needs it":    {yard{found: true}, func(s *Site) error { err := ready(s); s.Break("a run"); return err }, "up, close"},
		"found unhealthy":                {yard{ups: []error{sick}}, ready, "up failed, down, up, down, close"},
		"never used":                     {yard{}, func(*Site) error { return nil }, "close"},
		"broken before it was ever made": {yard{}, func(s *Site) error { s.Break("a run"); return ready(s) }, "down, up, down, close"},
	} {
		s := c.yard.site(t)
		if err := errors.Join(c.use(s), s.Close(t.Context())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := strings.Join(c.yard.diary, ", "); got != c.diary {
			t.Errorf("%s: %s, want %s", name, got, c.diary)
		}
	}
}

// A cluster that could not be made anew is still known as broken, and the next try makes one.
func TestABrokenClusterIsNotUsedWhereNoneCanBeMade(t *testing.T) {
	y := &yard{ups: []error{nil, errPlanted}}
	s := y.site(t)
	first, err := s.Ready(t.Context())
	if err != nil || !first.Ours {
		t.Fatalf("%+v, %v", first, err)
	}
	s.Break("a run")
	if c, err := s.Ready(t.Context()); !errors.Is(err, errPlanted) || c.UID != "" {
		t.Errorf("cluster %+v, error %v: want none", c, err)
	}
	if c, err := s.Ready(t.Context()); err != nil || c.UID == first.UID {
		t.Errorf("cluster %+v, error %v: want another one than %q", c, err, first.UID)
	}
}

func TestAClusterOfTheSameNameIsNotOurs(t *testing.T) {
	ctx := context.Background()
	cases := map[string]struct {
		recorded, live string
		ours           bool
	}{
		"the one we made":      {"u1", "u1", true},
		"another, same name":   {"u1", "u2", false},
		"we have no record":    {"", "u1", false},
		"identity unknowable ": {"u1", "", false},
	}
	for name, c := range cases {
		system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: types.UID(c.live)}}
		consenting := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Annotations: map[string]string{site.ConsentAnnotation: "true"}}}
		cluster := &Cluster{Handle: site.Handle{Name: "c", Client: fake.NewClientset(system, consenting)}, uid: c.recorded}
		ours, err := cluster.CreatedByUs(ctx)
		if err != nil || ours != c.ours {
			t.Errorf("%s: %v %v, want %v", name, ours, err, c.ours)
		}
		// The annotation of another cluster's namespace is no consent: that cluster was not named.
		if err := (owned{cluster}).Allow(ctx, "shop"); (err == nil) != c.ours {
			t.Errorf("%s: the guard says of a namespace: %v", name, err)
		}
		if err := (owned{cluster}).AllowNode(ctx, "n1", []string{"shop"}); (err == nil) != c.ours {
			t.Errorf("%s: the guard says of a node: %v", name, err)
		}
	}
	gone := &Cluster{Handle: site.Handle{Name: "c", Client: fake.NewClientset()}, uid: "u1"}
	if err := (owned{gone}).Allow(ctx, "shop"); err == nil || !strings.Contains(err.Error(), "cannot be told") {
		t.Errorf("no identity can be read: %v", err)
	}
}

// fakeNode is a node that answers each command with itself.
type fakeNode struct {
	nodes.Node // the rest is never asked for
	name       string
	fail       error
}

func (c fakeNode) String() string { return c.name }

func (c fakeNode) CommandContext(_ context.Context, name string, args ...string) exec.Cmd {
	return &spoken{text: c.name + " " + strings.Join(append([]string{name}, args...), " "), fail: c.fail}
}

type spoken struct {
	exec.Cmd
	text           string
	fail           error
	stdout, stderr io.Writer
}

func (s *spoken) SetStdout(w io.Writer) exec.Cmd { s.stdout = w; return s }
func (s *spoken) SetStderr(w io.Writer) exec.Cmd { s.stderr = w; return s }

func (s *spoken) Run() error {
	_, _ = io.WriteString(s.stdout, s.text)
	if s.fail != nil {
		_, _ = io.WriteString(s.stderr, "it says why\n")
	}
	return s.fail
}

func TestCommandsRunOnNodesOfTheClusterAlone(t *testing.T) {
	sh := shell{"x", []nodes.Node{fakeNode{name: "x-worker"}, fakeNode{name: "x-worker2", fail: errPlanted}}}
	out, err := sh.NodeExec(t.Context(), "x-worker", "kill", "-9", "42")
	if err != nil || !bytes.Equal(out, []byte("x-worker kill -9 42")) {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := sh.NodeExec(t.Context(), "x-worker2", "kill", "-9", "42"); !errors.Is(err, errPlanted) || !strings.Contains(err.Error(), "run kill on node x-worker2") ||
		!strings.HasSuffix(err.Error(), "it says why") {
		t.Errorf("a command that fails: %v", err)
	}
	for _, other := range []string{"y-worker", "", "worker"} {
		if _, err := sh.NodeExec(t.Context(), other, "kill"); err == nil || !strings.Contains(err.Error(), "no such node") {
			t.Errorf("on container %q: %v", other, err)
		}
	}
	if _, err := sh.NodeExec(t.Context(), "x-worker"); err == nil {
		t.Error("no command ran")
	}
}
