package history

// The types below are Change.Object, one for each resource: what judges need of an object, and nothing else. Their field
// names are those of the object where it has one.

// PodObject is Change.Object of pods; what most judges need is in PodState.
type PodObject struct {
	Labels     map[string]string `json:"labels,omitempty"`
	Owner      *Owner            `json:"owner,omitempty"`
	Containers []ContainerState  `json:"containers,omitempty"`
	// Disruption is the reason of the condition DisruptionTarget, e.g. EvictionByEvictionAPI; empty without it.
	Disruption string `json:"disruption,omitempty"`
}

// Owner is the controller of an object.
type Owner struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// ContainerState is one container of a pod.
type ContainerState struct {
	Name        string `json:"name"`
	ImageID     string `json:"imageID,omitempty"`
	ContainerID string `json:"containerID,omitempty"`
	Restarts    int32  `json:"restarts,omitempty"`
	Ready       bool   `json:"ready,omitempty"`
	Waiting     string `json:"waiting,omitempty"`    // reason, e.g. CrashLoopBackOff
	Terminated  string `json:"terminated,omitempty"` // reason of this or else the last end, e.g. OOMKilled
	ExitCode    int32  `json:"exitCode,omitempty"`   // with Terminated
}

// EndpointSliceObject is Change.Object of endpointslices.
type EndpointSliceObject struct {
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

// ReplicaSetObject is Change.Object of replicasets.
type ReplicaSetObject struct {
	Owner    *Owner `json:"owner,omitempty"`
	Hash     string `json:"hash,omitempty"`    // pod template hash, of Rollouts or of Deployments
	Version  string `json:"version,omitempty"` // of the pod template
	Desired  int32  `json:"desired"`
	Replicas int32  `json:"replicas"`
	Ready    int32  `json:"ready"`
	// ScaleDownAt is when Argo Rollouts means to scale it down, as it wrote it; empty without that.
	ScaleDownAt string `json:"scaleDownAt,omitempty"`
}

// PDBObject is Change.Object of poddisruptionbudgets.
type PDBObject struct {
	Generation         int64  `json:"generation"`
	ObservedGeneration int64  `json:"observedGeneration"`
	MinAvailable       string `json:"minAvailable,omitempty"`
	MaxUnavailable     string `json:"maxUnavailable,omitempty"`
	DesiredHealthy     int32  `json:"desiredHealthy"`
	CurrentHealthy     int32  `json:"currentHealthy"`
	DisruptionsAllowed int32  `json:"disruptionsAllowed"`
	ExpectedPods       int32  `json:"expectedPods"`
	// Selector says which pods of its namespace it protects, as kubectl writes it: "app=api,tier in (a,b)". "*" is all of them,
	// empty none.
	Selector string `json:"selector,omitempty"`
}

// NodeObject is Change.Object of nodes.
type NodeObject struct {
	Ready          bool   `json:"ready"`
	Unschedulable  bool   `json:"unschedulable,omitempty"`
	KubeletVersion string `json:"kubeletVersion,omitempty"`
}

// EventObject is Change.Object of events: what a component of Kubernetes says about another object.
type EventObject struct {
	Type     string `json:"type,omitempty"` // Normal, Warning
	Reason   string `json:"reason"`
	Message  string `json:"message,omitempty"`
	Count    int32  `json:"count,omitempty"`
	Source   string `json:"source,omitempty"`
	Involved Owner  `json:"involved"`
}

// RolloutObject is Change.Object of rollouts (argoproj.io).
type RolloutObject struct {
	Generation         int64       `json:"generation"`
	ObservedGeneration string      `json:"observedGeneration,omitempty"` // a string in Argo Rollouts too
	Replicas           *int32      `json:"replicas,omitempty"`           // spec.replicas
	Phase              string      `json:"phase,omitempty"`
	Message            string      `json:"message,omitempty"`
	Abort              bool        `json:"abort,omitempty"`
	AbortedAt          string      `json:"abortedAt,omitempty"`
	PromoteFull        bool        `json:"promoteFull,omitempty"` // somebody ordered the release to skip what is left of its steps
	CurrentStepIndex   *int32      `json:"currentStepIndex,omitempty"`
	CurrentPodHash     string      `json:"currentPodHash,omitempty"`
	StableRS           string      `json:"stableRS,omitempty"` // a pod template hash, for all its name
	ReadyReplicas      int32       `json:"readyReplicas,omitempty"`
	AvailableReplicas  int32       `json:"availableReplicas,omitempty"`
	Weights            *Weights    `json:"weights,omitempty"`
	Conditions         []Condition `json:"conditions,omitempty"`
}

// Weights are the shares of traffic a Rollout's controller says it has set, in percent.
type Weights struct {
	Canary Weight `json:"canary"`
	Stable Weight `json:"stable"`
}

// Weight is the share of one ReplicaSet.
type Weight struct {
	Weight          int32  `json:"weight"`
	PodTemplateHash string `json:"podTemplateHash,omitempty"`
	ServiceName     string `json:"serviceName,omitempty"`
}

// Condition is a condition of an object's status.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// AnalysisRunObject is Change.Object of analysisruns (argoproj.io).
type AnalysisRunObject struct {
	Owner   *Owner         `json:"owner,omitempty"`
	Hash    string         `json:"hash,omitempty"` // pod template hash of the release it measures
	Step    string         `json:"step,omitempty"` // index of the Rollout's step it belongs to, empty for a background run
	Args    []AnalysisArg  `json:"args,omitempty"`
	Phase   string         `json:"phase,omitempty"`
	Message string         `json:"message,omitempty"`
	Metrics []MetricResult `json:"metricResults,omitempty"`
}

// AnalysisArg is an argument of an AnalysisRun; one taken from a secret has no value here.
type AnalysisArg struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// MetricResult is what one metric of an AnalysisRun came to.
type MetricResult struct {
	Name         string        `json:"name"`
	Phase        string        `json:"phase"`
	Message      string        `json:"message,omitempty"`
	Count        int32         `json:"count,omitempty"`
	Failed       int32         `json:"failed,omitempty"`
	Error        int32         `json:"error,omitempty"`
	Inconclusive int32         `json:"inconclusive,omitempty"`
	Query        string        `json:"query,omitempty"` // as rendered for Prometheus
	Measurements []Measurement `json:"measurements,omitempty"`
}

// Measurement is one value of a metric, in the provider's own writing.
type Measurement struct {
	Phase      string `json:"phase"`
	Value      string `json:"value,omitempty"`
	Message    string `json:"message,omitempty"`
	FinishedAt string `json:"finishedAt,omitempty"`
}

// TraefikServiceObject is Change.Object of traefikservices (traefik.io).
type TraefikServiceObject struct {
	Generation int64             `json:"generation,omitempty"` // older records hold none
	Services   []WeightedService `json:"services,omitempty"`   // spec.weighted.services
}

// WeightedService is one child of a weighted TraefikService.
type WeightedService struct {
	Name   string `json:"name"`
	Weight *int32 `json:"weight,omitempty"` // Traefik takes 1 where it is left out
}
