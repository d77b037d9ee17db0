package site

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

func annotated(value string) map[string]string { return map[string]string{ConsentAnnotation: value} }

func namespace(name, uid string, annotations map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(uid), Annotations: annotations}}
}

// theirs is a cluster that somebody else made, of which owners agreed to some.
func theirs(uid string) Consent {
	return Consent{UID: "u1", Cluster: Handle{Name: "prod", Kubeconfig: "/k", Context: "prod-admin", Client: fake.NewClientset(
		namespace("kube-system", uid, nil), namespace("open", "1", annotated("true")), namespace("open-too", "2", annotated("true")),
		namespace("shut", "3", nil), namespace("capital", "4", annotated("True")), namespace("no", "5", annotated("false")),
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "lent", Annotations: annotated("true")}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "kept", Annotations: annotated("yes")}},
	)}}
}

func refused(t *testing.T, name string, err error, want ...string) {
	t.Helper()
	if len(want) == 0 && err != nil {
		t.Errorf("%s: %v, want leave", name, err)
	}
	if len(want) > 0 && err == nil {
		t.Errorf("%s: there is leave, want a refusal that says %q", name, want)
	}
	for _, text := range want {
		if err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", name, err, text)
		}
	}
}

func TestANamespaceIsDisturbedOnlyWithItsOwnersConsent(t *testing.T) {
	agree := "kubectl --kubeconfig /k --context prod-admin annotate namespace "
	for name, c := range map[string]struct {
		namespace, uid string
		want           []string
	}{
		"annotated":               {"open", "u1", nil},
		"not annotated":           {"shut", "u1", []string{"refuse to disturb namespace shut of cluster prod", agree + "shut " + ConsentAnnotation + "=true"}},
		"another spelling":        {"capital", "u1", []string{agree + "capital"}},
		"annotated with no":       {"no", "u1", []string{agree + "no"}},
		"it is not there":         {"gone", "u1", []string{"namespace gone of cluster prod: read its annotations", "not found"}},
		"none is named":           {"", "u1", []string{"no namespace is named"}},
		"another cluster answers": {"open", "u2", []string{"another cluster answers", `"u2", before "u1"`}},
	} {
		refused(t, name, theirs(c.uid).Allow(t.Context(), c.namespace), c.want...)
	}
	unknown := theirs("u1")
	unknown.UID = ""
	refused(t, "nobody noted which cluster was named", unknown.Allow(t.Context(), "open"), "another cluster answers")
	silent := Consent{UID: "u1", Cluster: Handle{Name: "prod", Client: fake.NewClientset(namespace("open", "1", annotated("true")))}}
	refused(t, "its identity cannot be read", silent.Allow(t.Context(), "open"), "cannot be told")
}

// One owner's consent is not the neighbour's.
func TestANodeIsDisturbedOnlyWithItsOwnersConsentOrThatOfAllOnIt(t *testing.T) {
	agree := "kubectl --kubeconfig /k --context prod-admin annotate node kept " + ConsentAnnotation + "=true"
	for name, c := range map[string]struct {
		node, uid string
		evictable []string
		want      []string
	}{
		"the node is annotated":            {"lent", "u1", []string{"shut"}, nil},
		"all namespaces on it are":         {"kept", "u1", []string{"open", "open-too"}, nil},
		"one namespace on it is not":       {"kept", "u1", []string{"open", "shut", "no"}, []string{"refuse to disturb node kept", "evict: shut, no", agree}},
		"nobody is on it":                  {"kept", "u1", nil, []string{"no namespace with a pod on it agrees either", agree}},
		"a namespace on it cannot be read": {"kept", "u1", []string{"open", "gone"}, []string{"namespace gone"}},
		"it is not there":                  {"gone", "u1", []string{"open"}, []string{"node gone of cluster prod: read its annotations"}},
		"another cluster answers":          {"lent", "u2", []string{"open"}, []string{"another cluster answers"}},
	} {
		refused(t, name, theirs(c.uid).AllowNode(t.Context(), c.node, c.evictable), c.want...)
	}
}
