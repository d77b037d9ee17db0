package disrupt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bitvault.dev/rollproof/harness/kube"
)

// process is the first process of a container, as its node knows it.
type process struct {
	nodes                             NodeExec
	node, pod, container, containerID string
	pid                               int
}

func (p process) String() string {
	return fmt.Sprintf("container %s of pod %s, process %d on %s", p.container, p.pod, p.pid, p.node)
}

// process finds the first process of a container through the container runtime of its node; without a name that of the first container.
func (a *Act) process(ctx context.Context, pod *corev1.Pod, container string) (process, error) {
	if a.Nodes == nil {
		return process{}, errors.New("no command can be run on this cluster's nodes")
	}
	p := process{nodes: a.Nodes, node: pod.Spec.NodeName, pod: pod.Name, container: cmp.Or(container, pod.Spec.Containers[0].Name)}
	was, ok := kube.Container(pod, p.container)
	_, id, _ := strings.Cut(was.ContainerID, "://")
	if !ok || id == "" {
		return p, fmt.Errorf("container %s of pod %s does not run", p.container, pod.Name)
	}
	p.containerID = was.ContainerID
	out, err := a.Nodes.NodeExec(ctx, p.node, "crictl", "inspect", "--output", "go-template", "--template", "{{.info.pid}}", id)
	if err != nil {
		return p, fmt.Errorf("find the process of container %s on node %s: %w", p.container, p.node, err)
	}
	p.pid, err = strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || p.pid < 2 {
		return p, fmt.Errorf("find the process of container %s on node %s: crictl says %q", p.container, p.node, out)
	}
	return p, nil
}

// signal sends it a signal, as kill takes it: -STOP.
func (p process) signal(ctx context.Context, signal string) error {
	if _, err := p.nodes.NodeExec(ctx, p.node, "kill", signal, strconv.Itoa(p.pid)); err != nil {
		return fmt.Errorf("kill %s process %d on node %s: %w", signal, p.pid, p.node, err)
	}
	return nil
}

// stopped is the state of a process that SIGSTOP has stopped, in /proc/PID/stat (proc_pid_stat(5)).
const stopped = "T"

// state is what the kernel of its node says it does: R, S, T and so on.
func (p process) state(ctx context.Context) (string, error) {
	file := fmt.Sprintf("/proc/%d/stat", p.pid)
	out, err := p.nodes.NodeExec(ctx, p.node, "cat", file)
	if err != nil {
		return "", fmt.Errorf("read %s on node %s: %w", file, p.node, err)
	}
	// The name before it stands in parentheses and may hold any character, those too.
	fields := strings.Fields(string(out[bytes.LastIndexByte(out, ')')+1:]))
	if len(fields) == 0 {
		return "", fmt.Errorf("%s on node %s holds %q", file, p.node, out)
	}
	return fields[0], nil
}
