package disrupt

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	watchtools "k8s.io/client-go/tools/watch"

	"bitvault.dev/rollproof/harness/kube"
)

// sight watches the pods of one node, because looking now and then misses the last words of a pod that ends at once.
type sight struct {
	watch *watchtools.RetryWatcher
	ended sync.WaitGroup

	mu      sync.Mutex
	pods    map[types.UID]seen
	changed chan struct{} // closed and replaced with every change
	lost    bool          // the watch ended and cannot go on
}

// seen is what was seen of a pod.
type seen struct {
	terminating, gone bool
	reason            string // of its condition DisruptionTarget
}

// byNode is the list and watch of a node's pods for client-go's RetryWatcher, which goes on where a dropped watch was.
type byNode struct {
	e    *Env
	node string
}

func (b byNode) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	options.FieldSelector = "spec.nodeName=" + b.node
	return b.e.Kube.CoreV1().Pods("").Watch(ctx, options)
}

func (e *Env) watchPods(ctx context.Context, node, version string) (*sight, error) {
	w, err := watchtools.NewRetryWatcherWithContext(ctx, version, byNode{e, node})
	if err != nil {
		return nil, fmt.Errorf("watch the pods of node %s: %w", node, err)
	}
	s := &sight{watch: w, pods: map[types.UID]seen{}, changed: make(chan struct{})}
	s.ended.Go(s.follow)
	return s, nil
}

func (s *sight) stop() {
	s.watch.Stop()
	s.ended.Wait()
}

func (s *sight) follow() {
	for e := range s.watch.ResultChan() {
		if pod, ok := e.Object.(*corev1.Pod); ok {
			s.note(pod, e.Type == watch.Deleted)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = true
	s.wakeLocked()
}

func (s *sight) note(pod *corev1.Pod, gone bool) {
	now := seen{terminating: pod.DeletionTimestamp != nil, gone: gone, reason: kube.Disruption(pod)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods[pod.UID] = now
	s.wakeLocked()
}

func (s *sight) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until enough was seen of a pod, and returns what was.
func (s *sight) await(ctx context.Context, uid types.UID, enough func(seen) bool) (seen, error) {
	for {
		s.mu.Lock()
		now, changed, lost := s.pods[uid], s.changed, s.lost
		s.mu.Unlock()
		switch {
		case enough(now):
			return now, nil
		case ctx.Err() != nil:
			return now, context.Cause(ctx)
		case lost:
			return now, errors.New("the watch of the node's pods ended")
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}
