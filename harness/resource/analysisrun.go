package resource

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bitvault.dev/rollproof/harness/kube"
)

// AnalysisRuns are those of Argo Rollouts.
var AnalysisRuns = kind(Kind{Name: "analysisruns", Group: argo, Optional: true}, trimAnalysisRun)

// A label, and a key of a metric's metadata, of Argo Rollouts 1.10, pkg/apis/rollouts/v1alpha1/types.go.
const (
	argoStepLabel       = "step-index"
	argoQueryOfMetadata = "ResolvedPrometheusQuery"
)

// AnalysisRun is Change.Object of analysisruns (argoproj.io).
type AnalysisRun struct {
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

// analysisRun is the part of an AnalysisRun that is read.
type analysisRun struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Args []AnalysisArg `json:"args"`
	} `json:"spec"`
	Status struct {
		Phase   string `json:"phase"`
		Message string `json:"message"`
		Results []struct {
			MetricResult `json:",inline"`
			Metadata     map[string]string `json:"metadata"`
		} `json:"metricResults"`
	} `json:"status"`
}

func trimAnalysisRun(u *unstructured.Unstructured) (AnalysisRun, error) {
	run, err := decode[analysisRun](u)
	o := AnalysisRun{
		Owner: controllerOf(run.ObjectMeta), Hash: run.Labels[kube.ArgoHashLabel], Step: run.Labels[argoStepLabel],
		Args: run.Spec.Args, Phase: run.Status.Phase, Message: run.Status.Message,
	}
	for _, r := range run.Status.Results {
		m := r.MetricResult
		m.Query = r.Metadata[argoQueryOfMetadata]
		o.Metrics = append(o.Metrics, m)
	}
	return o, err
}
