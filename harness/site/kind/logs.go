package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kind/pkg/log"
	"sigs.k8s.io/yaml"

	"bitvault.dev/rollproof/harness/words"
)

// collectLogs saves what is needed to understand a failure: what kind said, the nodes' logs, the registry's, the results of the checks,
// and events, pods and nodes as the API server has them. What cannot be had does not keep the rest from being saved.
func (m *Manager) collectLogs(ctx context.Context, r Record, o UpOptions, kindLog *kindLogger, results []Result) (string, error) {
	parent := o.LogsDir
	if parent == "" {
		parent = "out"
	}
	dir, err := filepath.Abs(filepath.Join(parent, fmt.Sprintf("cluster-%s-%s", r.Name, time.Now().Format("20060102-150405"))))
	if err != nil {
		return "", fmt.Errorf("name the folder for logs: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder for logs: %w", err)
	}
	var missing []error
	save := func(name string, raw []byte, err error) {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o644)
		}
		if err != nil {
			missing = append(missing, fmt.Errorf("%s: %w", name, err))
		}
	}
	save("kind.log", kindLog.contents(), nil)
	checks, err := json.MarshalIndent(results, "", "  ")
	save("checks.json", checks, err)
	if beside, err := m.engine.containers(ctx, LabelCluster+"="+r.Name, LabelState+"="+m.records.dir); err == nil {
		for _, c := range beside {
			raw, err := m.engine.logs(ctx, c.ID)
			save(c.Name+".log", raw, err)
		}
	}
	if err := m.kind(log.NoopLogger{}).CollectLogs(r.Name, filepath.Join(dir, "nodes")); err != nil {
		missing = append(missing, fmt.Errorf("nodes: %s", words.OneLine(err.Error())))
	}
	if c, err := m.handle(ctx, r); err == nil {
		for name, dump := range c.dumps() {
			raw, err := dump(ctx)
			save(name, raw, err)
		}
	}
	if len(missing) > 0 {
		save("missing.txt", []byte(errors.Join(missing...).Error()+"\n"), nil)
	}
	return dir, nil
}

// dumps are views of the API server worth saving, by file name.
func (c *Cluster) dumps() map[string]func(context.Context) ([]byte, error) {
	core := c.Client.CoreV1()
	all := metav1.ListOptions{}
	return map[string]func(context.Context) ([]byte, error){
		"events.yaml": func(ctx context.Context) ([]byte, error) { return asYAML(core.Events("").List(ctx, all)) },
		"pods.yaml":   func(ctx context.Context) ([]byte, error) { return asYAML(core.Pods("").List(ctx, all)) },
		"nodes.yaml":  func(ctx context.Context) ([]byte, error) { return asYAML(core.Nodes().List(ctx, all)) },
		"claims.yaml": func(ctx context.Context) ([]byte, error) {
			return asYAML(core.PersistentVolumeClaims("").List(ctx, all))
		},
	}
}

func asYAML[T any](v T, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(v)
}
