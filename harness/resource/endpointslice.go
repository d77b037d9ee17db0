package resource

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// EndpointSlices tell whom a Service sends its traffic to.
var EndpointSlices = kind(Kind{Name: "endpointslices", Group: schema.GroupVersion{Group: "discovery.k8s.io", Version: "v1"}}, trimEndpointSlice)

// EndpointSlice is Change.Object of endpointslices.
type EndpointSlice struct {
	Service   string     `json:"service,omitempty"`
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is one endpoint of a slice. A condition the slice leaves out counts as Kubernetes reads it: ready and serving true,
// terminating false.
type Endpoint struct {
	Addresses   []string `json:"addresses"`
	Pod         string   `json:"pod,omitempty"`
	Ready       bool     `json:"ready"`
	Serving     bool     `json:"serving"`
	Terminating bool     `json:"terminating,omitempty"`
}

func trimEndpointSlice(u *unstructured.Unstructured) (EndpointSlice, error) {
	slice, err := decode[discoveryv1.EndpointSlice](u)
	o := EndpointSlice{Service: slice.Labels[discoveryv1.LabelServiceName], Endpoints: []Endpoint{}}
	for _, e := range slice.Endpoints {
		end := Endpoint{
			Addresses:   e.Addresses,
			Ready:       e.Conditions.Ready == nil || *e.Conditions.Ready,
			Serving:     e.Conditions.Serving == nil || *e.Conditions.Serving,
			Terminating: e.Conditions.Terminating != nil && *e.Conditions.Terminating,
		}
		if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
			end.Pod = e.TargetRef.Name
		}
		o.Endpoints = append(o.Endpoints, end)
	}
	return o, err
}
