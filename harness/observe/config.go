package observe

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"bitvault.dev/rollproof/harness/history"
)

// Config says what to observe. Only REST is required; a duration of 0 means its default.
type Config struct {
	REST       *rest.Config
	Namespaces []string // empty: all. Nodes are observed always
	// Require names resources, as in history.Change, that the cluster must serve. The built-in ones are required always, those
	// of Argo Rollouts and Traefik are otherwise observed from the moment they are served.
	Require []string

	Tolerance time.Duration // a blind time up to this long is no gap; default 1 s
	Retry     time.Duration // pause before the API server is asked again; default 300 ms
	Recheck   time.Duration // pause before a resource that is not served is asked for again; default 2 s
	Beat      time.Duration // how often the API server is asked for a sign of life; default 1 s
	Start     time.Duration // bound of Start; default 30 s
	Drain     time.Duration // bound of Stop's wait for changes that are on their way; default 5 s
	// Lost is how long the API server may give no sign of life before Observer.Lost tells of it; default 1 min, which a control plane of one
	// node that starts anew stays below.
	Lost time.Duration
}

func (c Config) withDefaults() Config {
	c.Tolerance = cmp.Or(c.Tolerance, time.Second)
	c.Retry = cmp.Or(c.Retry, 300*time.Millisecond)
	c.Recheck = cmp.Or(c.Recheck, 2*time.Second)
	c.Beat = cmp.Or(c.Beat, time.Second)
	c.Start = cmp.Or(c.Start, 30*time.Second)
	c.Drain = cmp.Or(c.Drain, 5*time.Second)
	c.Lost = cmp.Or(c.Lost, time.Minute)
	return c
}

func (c Config) validate() error {
	if c.REST == nil {
		return errors.New("observe the cluster: Config.REST is nil: say which cluster")
	}
	for _, name := range c.Require {
		if !slices.ContainsFunc(resources, func(r resource) bool { return r.name == name }) {
			return fmt.Errorf("observe the cluster: unknown resource %q is required: known are %s", name, strings.Join(Resources(), ", "))
		}
	}
	return nil
}

// resource is a kind of object that is observed.
type resource struct {
	name     string
	group    schema.GroupVersion
	cluster  bool // it is in no namespace
	optional bool // its CRD may be missing
	authored bool // who writes the objects is recorded
	ended    bool // objects of the first list are of the past, and one that goes away is only forgotten: not recorded
	trim     func(*unstructured.Unstructured) (*history.PodState, any, error)
}

func (r resource) gvr() schema.GroupVersionResource { return r.group.WithResource(r.name) }

// resources is everything that is observed, and what is kept of it.
var resources = []resource{
	{name: "pods", group: core, trim: trimPod},
	{name: "nodes", group: core, cluster: true, authored: true, trim: only(trimNode)},
	{name: "events", group: core, ended: true, trim: only(trimEvent)},
	{name: "endpointslices", group: schema.GroupVersion{Group: "discovery.k8s.io", Version: "v1"}, trim: only(trimEndpointSlice)},
	{name: "replicasets", group: schema.GroupVersion{Group: "apps", Version: "v1"}, authored: true, trim: only(trimReplicaSet)},
	{name: "poddisruptionbudgets", group: schema.GroupVersion{Group: "policy", Version: "v1"}, authored: true, trim: only(trimPDB)},
	{name: "rollouts", group: argo, optional: true, authored: true, trim: only(trimRollout)},
	{name: "analysisruns", group: argo, optional: true, trim: only(trimAnalysisRun)},
	{name: "traefikservices", group: schema.GroupVersion{Group: "traefik.io", Version: "v1alpha1"}, optional: true, authored: true, trim: only(trimTraefikService)},
}

var (
	core = schema.GroupVersion{Version: "v1"}
	argo = schema.GroupVersion{Group: "argoproj.io", Version: "v1alpha1"}
)

// Resources names everything that is observed, as history.Change does.
func Resources() []string {
	var names []string
	for _, r := range resources {
		names = append(names, r.name)
	}
	return names
}
