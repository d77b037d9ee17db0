package resource

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TraefikServices are those of Traefik 3 that share traffic out by weight.
var TraefikServices = kind(Kind{Name: "traefikservices", Group: schema.GroupVersion{Group: "traefik.io", Version: "v1alpha1"}, Optional: true, Authored: true},
	trimTraefikService)

// TraefikService is Change.Object of traefikservices (traefik.io).
type TraefikService struct {
	Generation int64             `json:"generation,omitempty"` // older records hold none
	Services   []WeightedService `json:"services,omitempty"`   // spec.weighted.services
}

// WeightedService is one child of a weighted TraefikService.
type WeightedService struct {
	Name   string `json:"name"`
	Weight *int32 `json:"weight,omitempty"` // Traefik takes 1 where it is left out
}

func trimTraefikService(u *unstructured.Unstructured) (TraefikService, error) {
	s, err := decode[struct {
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Weighted struct {
				Services []WeightedService `json:"services"`
			} `json:"weighted"`
		} `json:"spec"`
	}](u)
	return TraefikService{Generation: s.Generation, Services: s.Spec.Weighted.Services}, err
}
