package kind

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bitvault.dev/rollproof/harness/kube"
	"bitvault.dev/rollproof/harness/site"
	"bitvault.dev/rollproof/harness/words"
)

func nodesReady(ctx context.Context, p *proving) (string, error) {
	return nodesReadyWithin(ctx, p.cluster, p.limits.nodes)
}

func nodesReadyWithin(ctx context.Context, c *Cluster, limit time.Duration) (string, error) {
	var seen string
	err := poll(ctx, "all nodes Ready", limit, func(ctx context.Context) (bool, string) {
		nodes, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		var ok bool
		ok, seen = site.NodesUsable(nodes.Items, c.nodes)
		return ok, seen
	})
	return seen, err
}

// dnsAnswers looks up the API server's Service by name in a pod on each node.
func dnsAnswers(ctx context.Context, p *proving) (string, error) {
	service, err := p.cluster.Client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read Service kubernetes: %w", err)
	}
	pods, err := p.pods()
	if err != nil {
		return "", err
	}
	err = forEach(pods, func(pod corev1.Pod) error {
		return p.untilJudged(ctx, "lookup on "+pod.Spec.NodeName, p.limits.check, pod.Name, func(m measurement) error {
			return judgeDNS(m, service.Spec.ClusterIP)
		}, "dns", "kubernetes.default.svc.cluster.local")
	})
	return fmt.Sprintf("%s from %d nodes", service.Spec.ClusterIP, len(pods)), err
}

// podToPod calls the pod of every other node from the pod of each node.
func podToPod(ctx context.Context, p *proving) (string, error) {
	pods, err := p.pods()
	if err != nil {
		return "", err
	}
	if len(pods) < 2 {
		return "one node: no pairs", nil
	}
	err = forEach(pods, func(caller corev1.Pod) error {
		for _, target := range pods {
			if target.Name == caller.Name {
				continue
			}
			err := p.untilJudged(ctx, fmt.Sprintf("%s to %s", caller.Spec.NodeName, target.Spec.NodeName), p.limits.check, caller.Name,
				func(m measurement) error { return judgePeer(m, caller.Status.PodIP, target.Name) },
				"get", "http://"+podAddress(target)+"/")
			if err != nil {
				return err
			}
		}
		return nil
	})
	return fmt.Sprintf("%d pairs of nodes, each saw the caller's own address", len(pods)*(len(pods)-1)), err
}

// volumeBinds makes a claim of the default storage class and a pod that uses it, and writes a file.
func volumeBinds(ctx context.Context, p *proving) (string, error) {
	claims := p.cluster.Client.CoreV1().PersistentVolumeClaims(p.namespace)
	if _, err := claims.Create(ctx, probeClaim(), metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("make a claim: %w", err)
	}
	pod, err := p.startPod(ctx, withVolume(probePod("volume", p.image)))
	if err != nil {
		return "", err
	}
	m, err := p.exec(ctx, pod.Name, "write", "/data/proof")
	if err != nil {
		return "", err
	}
	claim, err := claims.Get(ctx, "volume", metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read the claim: %w", err)
	}
	if err := judgeVolume(*claim, m); err != nil {
		return "", err
	}
	return fmt.Sprintf("bound to %s, written on %s", claim.Spec.VolumeName, pod.Spec.NodeName), nil
}

// nodePortAnswers calls the probe pods from this machine, the way load comes in.
func nodePortAnswers(ctx context.Context, p *proving) (string, error) {
	url := p.cluster.ProbeURL()
	if url == "" {
		return "", fmt.Errorf("no port of this machine is mapped to node port %d", ProbeNodePort)
	}
	if _, err := p.cluster.Client.CoreV1().Services(p.namespace).Create(ctx, probeService(), metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("make a NodePort Service: %w", err)
	}
	pods, err := p.pods()
	if err != nil {
		return "", err
	}
	var names []string
	for _, pod := range pods {
		names = append(names, pod.Name)
	}
	err = poll(ctx, url+" answers", p.limits.check, func(ctx context.Context) (bool, string) {
		status, body, err := fetch(ctx, url)
		if err == nil {
			err = judgeNodePort(status, body, names)
		}
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		return true, ""
	})
	return url + " answers", err
}

func fetch(ctx context.Context, url string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Close = true // a kept connection would stay pinned to the first pod
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, 4096))
	return response.StatusCode, body, err
}

// gonePodRefuses starts a pod, sees that its address answers from every node (else a refusal would prove nothing), removes it, and sees
// that dialing the address fails at once from every node.
func gonePodRefuses(ctx context.Context, p *proving) (string, error) {
	callers, err := p.pods()
	if err != nil {
		return "", err
	}
	gone, err := p.startPod(ctx, probePod("gone", p.image))
	if err != nil {
		return "", err
	}
	address := podAddress(*gone)
	err = forEach(callers, func(caller corev1.Pod) error {
		return p.untilJudged(ctx, "dial before the end of the pod from "+caller.Spec.NodeName, p.limits.check, caller.Name, func(m measurement) error {
			if m.Outcome != "ok" {
				return fmt.Errorf("%s", m)
			}
			return nil
		}, "dial", address, "--timeout", dialTimeout.String())
	})
	if err != nil {
		return "", err
	}
	if err := p.removePod(ctx, gone.Name); err != nil {
		return "", err
	}
	refusals := make([]string, len(callers))
	err = forEachIndexed(callers, func(i int, caller corev1.Pod) error {
		first := ""
		return p.untilJudged(ctx, "dial of a gone pod from "+caller.Spec.NodeName, p.limits.gone, caller.Name, func(m measurement) error {
			refusals[i] = fmt.Sprintf("%s %s%s", caller.Spec.NodeName, words.Span(m.took()), first)
			err := judgeRefusal(m)
			if err != nil && first == "" { // part of the evidence: how it was at first
				first = fmt.Sprintf(" (at first: %s after %s)", m.Outcome, words.Span(m.took()))
			}
			return err
		}, "dial", address, "--timeout", refusalTimeout.String())
	})
	return "refused after " + strings.Join(refusals, ", ") + " (pod ran on " + gone.Spec.NodeName + ")", err
}

// untilJudged repeats a check of the probe image in a pod until judge accepts what it measured.
func (p *proving) untilJudged(ctx context.Context, what string, limit time.Duration, pod string, judge func(measurement) error, args ...string) error {
	return poll(ctx, what, limit, func(ctx context.Context) (bool, string) {
		m, err := p.exec(ctx, pod, args...)
		if err == nil {
			err = judge(m)
		}
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		return true, ""
	})
}

// startPod makes a pod and waits until it is ready.
func (p *proving) startPod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	pods := p.cluster.Client.CoreV1().Pods(p.namespace)
	created := false
	var seen *corev1.Pod
	err := poll(ctx, "pod "+pod.Name+" ready", p.limits.pods, func(ctx context.Context) (bool, string) {
		if !created { // refused until the namespace has its service account
			if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
				return false, words.OneLine(err.Error())
			}
			created = true
		}
		found, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		seen = found
		return podReady(found), kube.PodState(found)
	})
	if err != nil {
		err = fmt.Errorf("%w%s", err, p.lastEvent(ctx, pod.Name))
	}
	return seen, err
}

// lastEvent is the newest event about objects of that name, which is where a scheduler, kubelet or provisioner says what is wrong.
func (p *proving) lastEvent(ctx context.Context, name string) string {
	events, err := p.cluster.Client.CoreV1().Events(p.namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
	if err != nil || len(events.Items) == 0 {
		return ""
	}
	newest := slices.MaxFunc(events.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	return fmt.Sprintf("; last event: %s %s: %s", newest.InvolvedObject.Kind, newest.Reason, newest.Message)
}

// removePod ends a pod the way a drain does, with its grace, and waits until it is gone: a forced delete would take the object away
// while the process still answers.
func (p *proving) removePod(ctx context.Context, name string) error {
	pods := p.cluster.Client.CoreV1().Pods(p.namespace)
	if err := pods.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("remove pod %s: %w", name, err)
	}
	return poll(ctx, "pod "+name+" gone", p.limits.check, func(ctx context.Context) (bool, string) {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, ""
		}
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		return false, kube.PodState(pod)
	})
}

func podAddress(pod corev1.Pod) string {
	return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(probePort))
}

func forEach(pods []corev1.Pod, do func(corev1.Pod) error) error {
	return forEachIndexed(pods, func(_ int, pod corev1.Pod) error { return do(pod) })
}

func forEachIndexed(pods []corev1.Pod, do func(int, corev1.Pod) error) error {
	var group errgroup.Group
	for i, pod := range pods {
		group.Go(func() error { return do(i, pod) })
	}
	return group.Wait()
}

// The objects of the checks.

func probeSpec(image string) corev1.PodSpec {
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	grace, token := int64(1), false
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: &grace,
		AutomountServiceAccountToken:  &token,
		Containers: []corev1.Container{{
			Name: "probe", Image: image,
			Env: []corev1.EnvVar{
				{Name: "POD_NAME", ValueFrom: field("metadata.name")},
				{Name: "NODE_NAME", ValueFrom: field("spec.nodeName")},
			},
			Ports: []corev1.ContainerPort{{ContainerPort: probePort}},
			ReadinessProbe: &corev1.Probe{
				ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(probePort)}},
				PeriodSeconds: 1,
			},
		}},
	}
}

// probeDaemonSet puts a probe pod on every node, the control plane included.
func probeDaemonSet(image string) *appsv1.DaemonSet {
	labels := map[string]string{"app": "probe"}
	spec := probeSpec(image)
	spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}

func probePod(name, image string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: probeSpec(image)}
}

func withVolume(pod *corev1.Pod) *corev1.Pod {
	pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "volume"}}}}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	return pod
}

func probeClaim() *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "volume"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("16Mi")}},
		},
	}
}

func probeService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: probeServiceName},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"app": "probe"},
			Ports: []corev1.ServicePort{{Port: probePort, TargetPort: intstr.FromInt32(probePort), NodePort: ProbeNodePort}},
		},
	}
}
