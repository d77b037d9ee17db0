// Package resource has one file for each Kubernetes kind that is observed: how it is listed and watched, what of an object is kept in the record,
// and the type that judges read it back as. Another kind is another such file, and its line in All.
package resource

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bitvault.dev/rollproof/harness/history"
)

// Kind is a Kubernetes kind that is observed.
type Kind struct {
	// Name is history.Change.Resource: the plural that the API server serves the kind under, and for a kind whose plural others may use too, its
	// group after a dot.
	Name     string
	Group    schema.GroupVersion
	Cluster  bool // it is in no namespace
	Optional bool // its CRD may be missing: it is observed from the moment it is served
	OnDemand bool // it is observed only where somebody asks for it
	Authored bool // who writes the objects is recorded
	Past     bool // objects of the first list are of the past, and one that goes away is only forgotten: not recorded

	trim func(*unstructured.Unstructured) (*history.PodState, any, error)
	read func(*history.Change) error
}

// GVR is how the API server serves the kind.
func (k Kind) GVR() schema.GroupVersionResource {
	plural, _, _ := strings.Cut(k.Name, ".")
	return k.Group.WithResource(plural)
}

// Trim is what is kept of an object: history.Change.Pod, of pods alone, and history.Change.Object.
func (k Kind) Trim(u *unstructured.Unstructured) (*history.PodState, any, error) { return k.trim(u) }

// Readable says why the content of a recorded change of this kind cannot be read; nil when it can.
func (k Kind) Readable(c *history.Change) error { return k.read(c) }

// Of is a Kind whose objects are a T in the record.
type Of[T any] struct {
	Kind
	typed func(*unstructured.Unstructured) (T, error)
}

// Typed is what is kept of an object.
func (k Of[T]) Typed(u *unstructured.Unstructured) (T, error) { return k.typed(u) }

// Read is the content of a recorded change.
func (k Of[T]) Read(c *history.Change) (T, error) {
	var object T
	if c.Object == nil {
		return object, errors.New("it holds no content")
	}
	err := json.Unmarshal(c.Object, &object)
	return object, err
}

// kind is a kind whose objects are trimmed to a T.
func kind[T any](k Kind, typed func(*unstructured.Unstructured) (T, error)) Of[T] {
	of := Of[T]{k, typed}
	of.trim = func(u *unstructured.Unstructured) (*history.PodState, any, error) {
		object, err := typed(u)
		return nil, object, err
	}
	of.read = func(c *history.Change) error {
		_, err := of.Read(c)
		return err
	}
	return of
}

// All are the kinds that are observed, in the order they are listed in.
func All() []Kind {
	return []Kind{
		Pods.Kind, Nodes.Kind, Events.Kind, EndpointSlices.Kind, ReplicaSets.Kind, PDBs.Kind, Rollouts.Kind, AnalysisRuns.Kind, TraefikServices.Kind,
		StatefulSets.Kind, PostgresClusters.Kind, Deployments.Kind,
	}
}

// Named is the kind that history.Change names so.
func Named(name string) (k Kind, found bool) {
	all := All()
	i := slices.IndexFunc(all, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return all[i], true
}

// Names are those of some kinds.
func Names(kinds []Kind) []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	return names
}

// The groups that several kinds are of.
var (
	core = schema.GroupVersion{Version: "v1"}
	apps = schema.GroupVersion{Group: "apps", Version: "v1"}
	argo = schema.GroupVersion{Group: "argoproj.io", Version: "v1alpha1"}
)

// Owner is the controller of an object.
type Owner struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	UID  string `json:"uid"`
}

func decode[T any](u *unstructured.Unstructured) (T, error) {
	var v T
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &v)
	return v, err
}

func controllerOf(meta metav1.ObjectMeta) *Owner {
	ref := metav1.GetControllerOfNoCopy(&meta)
	if ref == nil {
		return nil
	}
	return &Owner{Kind: ref.Kind, Name: ref.Name, UID: string(ref.UID)}
}
