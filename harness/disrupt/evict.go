package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/wait"
)

// ProbeEviction asks whether a pod would be evicted now, and evicts nothing. The answer is in the record too. The error says why
// there is none; a refusal is an answer.
func (e *Env) ProbeEviction(ctx context.Context, namespace, name string) (history.Eviction, error) {
	if e.Guard == nil {
		return history.Eviction{}, errors.New("probe the eviction of a pod: there is no guard to allow it")
	}
	if err := e.allowed(ctx, []string{namespace}); err != nil {
		return history.Eviction{}, fmt.Errorf("probe the eviction of pod %s: %w", name, err)
	}
	pod, err := e.Kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return history.Eviction{}, fmt.Errorf("probe the eviction of pod %s: %w", name, err)
	}
	answer, err := e.evict(ctx, pod, history.Eviction{DryRun: true})
	if err == nil && answer.Code == 0 {
		err = fmt.Errorf("probe the eviction of pod %s: no answer: %s", name, answer.Message)
	}
	return answer, err
}

// evict asks once for the eviction of a pod of this uid and records the answer, whatever it is. The error is the record's. Once
// is by hand: client-go would repeat a 429 that comes with a Retry-After, up to ten times, and hide every answer but the last.
func (e *Env) evict(ctx context.Context, pod *corev1.Pod, answer history.Eviction) (history.Eviction, error) {
	eviction := &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))},
	}
	if answer.DryRun {
		eviction.DeleteOptions.DryRun = []string{metav1.DryRunAll}
	}
	asked := time.Now()
	result := e.Kube.CoreV1().RESTClient().Post().MaxRetries(0).Namespace(pod.Namespace).Resource("pods").Name(pod.Name).
		SubResource("eviction").Body(eviction).Do(ctx)
	answer.Latency = time.Since(asked)
	answer.Namespace, answer.Pod, answer.UID, answer.Node = pod.Namespace, pod.Name, string(pod.UID), pod.Spec.NodeName
	result.StatusCode(&answer.Code)
	if err := result.Error(); err != nil {
		answer = refused(answer, err)
	}
	if err := e.Record.Append(history.Event{Kind: history.KindEviction, Eviction: &answer}); err != nil {
		return answer, fmt.Errorf("record the eviction of pod %s: %w", pod.Name, err)
	}
	return answer, nil
}

// evictUntilGranted asks for the eviction of a pod again and again, until it is granted. It is not where the pod is gone by other hands. Retry
// is the time between two tries, 0 as long as the API server says.
func (a *Act) evictUntilGranted(ctx context.Context, pod *corev1.Pod, retry time.Duration) (refusals int, ok bool, err error) {
	var last history.Eviction // the last that was an answer: the budget of time may end in the middle of asking
	for {
		answer, err := a.evict(ctx, pod, history.Eviction{Disturbance: a.ID})
		if answer.Code != 0 || last.Code == 0 {
			last = answer
		}
		switch {
		case err != nil:
			return refusals, false, err
		case granted(answer.Code):
			return refusals, true, nil
		case answer.Code == http.StatusNotFound, answer.Code == http.StatusConflict: // gone, or another pod has its name by now
			return refusals, false, nil
		case !mayPass(answer.Code):
			return refusals, false, fmt.Errorf("evict pod %s/%s: %d: %s", pod.Namespace, pod.Name, answer.Code, answer.Message)
		}
		refusals++
		if wait.Pause(ctx, cmp.Or(retry, answer.RetryAfter, 5*time.Second)) != nil {
			return refusals, false, a.refusedForEver(ctx, pod, last, refusals)
		}
	}
}

func (a *Act) refusedForEver(ctx context.Context, pod *corev1.Pod, last history.Eviction, times int) error {
	why := fmt.Sprintf("%d %s", last.Code, last.Message)
	if last.Code == 0 {
		why = "no answer: " + last.Message
	}
	about, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if last.Cause == string(policyv1.DisruptionBudgetCause) {
		why += " (" + a.budgets(about, pod) + ")"
	}
	return fmt.Errorf("evict pod %s/%s: refused %d times, %w: said last: %s", pod.Namespace, pod.Name, times, context.Cause(ctx), why)
}

// refused fills in what an error says.
func refused(answer history.Eviction, err error) history.Eviction {
	answer.Message = err.Error()
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		answer.Code = 0
		return answer
	}
	s := status.Status()
	answer.Code, answer.Message = int(s.Code), s.Message
	if s.Details == nil {
		return answer
	}
	answer.RetryAfter = time.Duration(s.Details.RetryAfterSeconds) * time.Second
	for _, c := range s.Details.Causes {
		if c.Type == policyv1.DisruptionBudgetCause {
			answer.Cause, answer.Message = string(c.Type), s.Message+" "+c.Message
		}
	}
	return answer
}

// mayPass reports whether the same eviction may be granted later: a budget is used up, the API server is busy or away, or it lost a
// race for the budget (504).
func mayPass(code int) bool {
	return code == http.StatusTooManyRequests || code == http.StatusGatewayTimeout || code == 0
}

func granted(code int) bool { return code == http.StatusOK || code == http.StatusCreated }

// budgets says how the PDBs stand that protect a pod.
func (e *Env) budgets(ctx context.Context, pod *corev1.Pod) string {
	list, err := e.Kube.PolicyV1().PodDisruptionBudgets(pod.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Sprintf("its PDB is unknown: %v", err)
	}
	text := ""
	for _, pdb := range list.Items {
		selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			text += fmt.Sprintf("; PDB %s allows %d: %d of %d pods healthy, %d needed", pdb.Name,
				pdb.Status.DisruptionsAllowed, pdb.Status.CurrentHealthy, pdb.Status.ExpectedPods, pdb.Status.DesiredHealthy)
		}
	}
	if text == "" {
		return "no PDB selects it"
	}
	return text[2:]
}
