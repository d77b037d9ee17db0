package resource

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Events are what components say; those from before are of no interest.
var Events = kind(Kind{Name: "events", Group: core, Past: true}, trimEvent)

// Event is Change.Object of events: what a component of Kubernetes says about another object.
type Event struct {
	Type     string `json:"type,omitempty"` // Normal, Warning
	Reason   string `json:"reason"`
	Message  string `json:"message,omitempty"`
	Count    int32  `json:"count,omitempty"`
	Source   string `json:"source,omitempty"`
	Involved Owner  `json:"involved"`
}

func trimEvent(u *unstructured.Unstructured) (Event, error) {
	e, err := decode[corev1.Event](u)
	o := Event{
		Type: e.Type, Reason: e.Reason, Message: e.Message, Count: e.Count,
		Source:   cmp.Or(e.Source.Component, e.ReportingController),
		Involved: Owner{Kind: e.InvolvedObject.Kind, Name: e.InvolvedObject.Name, UID: string(e.InvolvedObject.UID)},
	}
	if e.Series != nil {
		o.Count = e.Series.Count
	}
	return o, err
}
