package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
	"bitvault.dev/rollproof/harness/wait"
)

// Unready has one living pod say that it is not ready, and after a time that it is again: the process of its container gets a signal for
// each. Nothing restarts, and the address stays. The pod is the one named, or else the first by name of the Ready ones that Selector
// selects.
//
// It has landed when the pod itself says so to whoever asks it. That Kubernetes takes notice is not asked for: that is what is judged.
type Unready struct {
	Workload  history.Workload // that the pod belongs to
	Pod       string
	Selector  string // of labels
	Container string // default the first
	Off, On   string // signals, as kill takes them: -USR1
	Port      int    // where the pod answers
	Path      string // of its readiness
	For       time.Duration
	Notice    time.Duration // that Kubernetes has to take notice; default 15 s
}

// Name is readiness-lost.
func (Unready) Name() string { return "readiness-lost" }

// Target names the pod, or how it is selected.
func (u Unready) Target() string {
	return fmt.Sprintf("pod %s/%s for %v", u.Workload.Namespace, cmp.Or(u.Pod, u.Selector), u.For)
}

// Disturbs is the workload of the pod.
func (u Unready) Disturbs() history.Workload { return u.Workload }

// Namespaces is the pod's.
func (u Unready) Namespaces(context.Context, *Env) ([]string, error) {
	switch {
	case u.Workload.Namespace == "" || (u.Pod == "") == (u.Selector == ""):
		return nil, errors.New("name a namespace, and either a pod or a selector")
	case u.Off == "" || u.On == "" || u.Port <= 0 || u.Path == "" || u.For <= 0:
		return nil, errors.New("name the signals that switch readiness, where the pod tells it, and for how long it is off")
	}
	return []string{u.Workload.Namespace}, nil
}

// Do switches readiness off, lets time pass, and switches it on.
func (u Unready) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	pod, err := a.pick(ctx, u.Workload.Namespace, u.Pod, u.Selector)
	if err != nil {
		return nil, err
	}
	p, err := a.process(ctx, pod, u.Container)
	if err != nil {
		return nil, err
	}
	a.OnHeal("switch the readiness of pod "+pod.Name+" on", 2*u.notice(), func(ctx context.Context) ([]history.Evidence, error) {
		return u.turn(ctx, a, pod, p, u.On, true)
	})
	off, err := u.turn(ctx, a, pod, p, u.Off, false)
	if err != nil {
		return off, err
	}
	if err := wait.Pause(ctx, u.For); err != nil {
		return off, err
	}
	on, err := u.turn(ctx, a, pod, p, u.On, true)
	return append(off, on...), err
}

func (u Unready) notice() time.Duration { return cmp.Or(u.Notice, 15*time.Second) }

// turn switches readiness and waits until the pod says so, and a while for Kubernetes to say so too.
func (u Unready) turn(ctx context.Context, a *Act, pod *corev1.Pod, p process, signal string, on bool) ([]history.Evidence, error) {
	if err := p.signal(ctx, signal); err != nil {
		return nil, err
	}
	var saw string
	err := a.await(ctx, fmt.Sprintf("pod %s to say that it is ready: %v", pod.Name, on), u.notice(), func(ctx context.Context) (bool, string, error) {
		code, err := u.ask(ctx, a.Env, pod)
		saw = fmt.Sprintf("%s answers %d", u.Path, code)
		return (code == http.StatusOK) == on, saw, err
	})
	evidence := []history.Evidence{{What: "pod " + pod.Name, Saw: saw}}
	if err != nil {
		return evidence, err
	}
	noticed, err := u.noticed(ctx, a, pod, on)
	return append(evidence, noticed), err
}

// ask is the status with which the pod answers for its readiness, 0 when it does not answer.
func (u Unready) ask(ctx context.Context, e *Env, pod *corev1.Pod) (code int, err error) {
	path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:%s/proxy%s", pod.Namespace, pod.Name, strconv.Itoa(u.Port), u.Path)
	result := e.Kube.CoreV1().RESTClient().Get().AbsPath(path).Do(ctx)
	if result.StatusCode(&code); code == 0 {
		return 0, fmt.Errorf("ask pod %s for %s: %w", pod.Name, u.Path, result.Error())
	}
	return code, nil
}

// noticed waits until Kubernetes takes the pod for what it says, and tells of the pod. That it does not is told, and for judges to weigh. That it
// is another pod or a restarted one is an error.
func (u Unready) noticed(ctx context.Context, a *Act, was *corev1.Pod, on bool) (history.Evidence, error) {
	e := history.Evidence{What: "pod " + was.Name, Saw: "not seen"}
	bounded, cancel := context.WithTimeout(ctx, u.notice())
	defer cancel()
	for {
		now, err := a.Kube.CoreV1().Pods(was.Namespace).Get(ctx, was.Name, metav1.GetOptions{})
		if err != nil {
			return e, fmt.Errorf("get pod %s: %w", was.Name, err)
		}
		e.Saw = fmt.Sprintf("uid %s, Ready %v, %d restarts", now.UID, ready(now), kube.Restarts(now))
		if now.UID != was.UID || kube.Restarts(now) != kube.Restarts(was) {
			return e, fmt.Errorf("pod %s did not live on: %s, before uid %s, %d restarts", was.Name, e.Saw, was.UID, kube.Restarts(was))
		}
		if ready(now) == on {
			return e, nil
		}
		if wait.Pause(bounded, cmp.Or(a.Poll, 200*time.Millisecond)) != nil {
			return e, ctx.Err()
		}
	}
}
