package resource

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bitvault.dev/rollproof/harness/kube"
)

// Nodes are in no namespace.
var Nodes = kind(Kind{Name: "nodes", Group: core, Cluster: true, Authored: true}, trimNode)

// Node is Change.Object of nodes.
type Node struct {
	Ready          bool   `json:"ready"`
	Unschedulable  bool   `json:"unschedulable,omitempty"`
	KubeletVersion string `json:"kubeletVersion,omitempty"`
}

func trimNode(u *unstructured.Unstructured) (Node, error) {
	node, err := decode[corev1.Node](u)
	o := Node{Unschedulable: node.Spec.Unschedulable, KubeletVersion: node.Status.NodeInfo.KubeletVersion}
	o.Ready, _ = kube.NodeReady(&node)
	return o, err
}
