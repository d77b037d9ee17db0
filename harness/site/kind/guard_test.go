package kind

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

func TestGuard(t *testing.T) {
	yes := map[string]string{AllowAnnotation: "true"}
	cases := map[string]struct {
		intent Intent
		refuse string // "" allows
	}{
		"ours":                         {Intent{Cluster: "c", CreatedByUs: true, Namespace: "n"}, ""},
		"annotated and named":          {Intent{Cluster: "c", Named: "c", Namespace: "n", Annotations: yes}, ""},
		"annotated, not named":         {Intent{Cluster: "c", Namespace: "n", Annotations: yes}, "does not name it"},
		"annotated, another named":     {Intent{Cluster: "prod", Named: "c", Namespace: "n", Annotations: yes}, "names c"},
		"named, not annotated":         {Intent{Cluster: "c", Named: "c", Namespace: "n"}, AllowAnnotation},
		"annotated with another value": {Intent{Cluster: "c", Named: "c", Namespace: "n", Annotations: map[string]string{AllowAnnotation: "True"}}, AllowAnnotation},
		"annotated false":              {Intent{Cluster: "c", Named: "c", Namespace: "n", Annotations: map[string]string{AllowAnnotation: "false"}}, AllowAnnotation},
		"no namespace":                 {Intent{Cluster: "c", Named: "c", Annotations: yes}, "no namespace"},
		"no cluster":                   {Intent{Namespace: "n", Annotations: yes}, "no cluster"},
		"nothing":                      {Intent{}, "no cluster"},
	}
	for name, c := range cases {
		err := Guard(c.intent)
		switch {
		case c.refuse == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.refuse != "" && (err == nil || !strings.Contains(err.Error(), c.refuse)):
			t.Errorf("%s: got %v, want a refusal with %q", name, err, c.refuse)
		}
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
		cluster := &Cluster{Name: "c", Client: fake.NewSimpleClientset(system, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}), uid: c.recorded}
		ours, err := cluster.CreatedByUs(ctx)
		if err != nil || ours != c.ours {
			t.Errorf("%s: %v %v, want %v", name, ours, err, c.ours)
		}
		if err := cluster.Guard(ctx, "shop", ""); (err == nil) != c.ours {
			t.Errorf("%s: the guard says %v", name, err)
		}
	}
}

func TestGuardReadsTheLiveNamespace(t *testing.T) {
	ctx := context.Background()
	allowed := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "open", Annotations: map[string]string{AllowAnnotation: "true"}}}
	cluster := &Cluster{Name: "theirs", Client: fake.NewSimpleClientset(allowed, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shut"}})}
	if err := cluster.Guard(ctx, "open", "theirs"); err != nil {
		t.Error(err)
	}
	for _, ns := range []string{"shut", "missing"} {
		if err := cluster.Guard(ctx, ns, "theirs"); err == nil {
			t.Errorf("namespace %s may be disturbed", ns)
		}
	}
}
