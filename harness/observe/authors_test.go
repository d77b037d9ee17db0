package observe

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bitvault.dev/rollproof/harness/history"
)

// node is a node as it is written: by whom, how and when.
func node(cordoned bool, fields ...[4]string) map[string]any {
	var managed []any
	for _, f := range fields {
		managed = append(managed, map[string]any{"manager": f[0], "operation": f[1], "subresource": f[2], "time": f[3],
			"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": map[string]any{}})
	}
	return map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n1", "managedFields": managed},
		"spec": map[string]any{"unschedulable": cordoned}}
}

func names(by []history.Author) string {
	var all []string
	for _, a := range by {
		all = append(all, fmt.Sprint(a.Manager, " ", a.Operation, " ", a.Subresource, " ", a.At.Format("15:04:05")))
	}
	return fmt.Sprintf("%q", all)
}

// The record tells who wrote an object: all of them at first, and then who did it.
func TestWhoWroteAnObjectIsRecorded(t *testing.T) {
	at := func(second string) string { return "2026-11-26T09:00:" + second + "Z" }
	kubeadm, heartbeat := [4]string{"kubeadm", "Update", "", at("01")}, [4]string{"kubelet", "Update", "status", at("02")}
	cases := []struct {
		name string
		then [][4]string // in managed fields, with the cordon
		want string
	}{
		{"by hand", [][4]string{kubeadm, heartbeat, {"kubectl-cordon", "Update", "", at("07")}}, `["kubectl-cordon Update  09:00:07"]`},
		{"again by the same hand", [][4]string{{"kubeadm", "Update", "", at("09")}, heartbeat}, `["kubeadm Update  09:00:09"]`},
		{"by a hand that took it from another", [][4]string{{"kubectl-edit", "Update", "", at("02")}, heartbeat}, `["kubectl-edit Update  09:00:02"]`},
		{"twice within a second", [][4]string{kubeadm, heartbeat}, `["kubelet Update status 09:00:02"]`},
		{"by nobody that the server tells", nil, `[]`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.api.Put("nodes", node(false, kubeadm, heartbeat))
			b.watched(b.config())
			b.api.Put("nodes", node(true, c.then...))
			b.await("the cordon", func(s State) bool {
				cordoned, _, _ := unstructured.NestedBool(s.Get("nodes", "", "n1").Object, "spec", "unschedulable")
				return cordoned
			})
			var by []string
			for _, e := range b.stop() {
				if e.Change != nil && e.Change.Resource == "nodes" {
					by = append(by, names(e.Change.By))
				}
			}
			if want := []string{`["kubeadm Update  09:00:01" "kubelet Update status 09:00:02"]`, c.want}; !slices.Equal(by, want) {
				t.Errorf("recorded %s, want %s", by, want)
			}
		})
	}
}

// A heartbeat is a write that changes nothing of what is recorded: it is no change. But the next change is not taken for its author's.
func TestAHeartbeatIsNoChange(t *testing.T) {
	b := newBench(t)
	cordon := [4]string{"kubectl-cordon", "Update", "", "2026-11-26T09:00:01Z"}
	b.api.Put("nodes", node(true, cordon))
	b.watched(b.config())
	beat := [4]string{"kubelet", "Update", "status", "2026-11-26T09:00:05Z"}
	version := b.api.Put("nodes", node(true, cordon, beat))
	b.await("the heartbeat", func(s State) bool { return s.Get("nodes", "", "n1").GetResourceVersion() == version })
	cordon[3] = "2026-11-26T09:00:09Z"
	b.api.Put("nodes", node(false, cordon, beat))
	b.await("the end of the cordon", func(s State) bool {
		cordoned, _, _ := unstructured.NestedBool(s.Get("nodes", "", "n1").Object, "spec", "unschedulable")
		return !cordoned
	})
	var by []string
	for _, e := range b.stop() {
		if e.Change != nil && e.Change.Resource == "nodes" {
			by = append(by, names(e.Change.By))
		}
	}
	if want := []string{`["kubectl-cordon Update  09:00:01"]`, `["kubectl-cordon Update  09:00:09"]`}; !slices.Equal(by, want) {
		t.Errorf("recorded %s, want %s", by, want)
	}
}
