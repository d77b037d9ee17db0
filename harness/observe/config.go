package observe

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"bitvault.dev/rollproof/harness/resource"
)

// Config says what to observe. Only REST is required; a duration of 0 means its default.
type Config struct {
	REST       *rest.Config
	Namespaces []string // empty: all. Nodes are observed always
	// Require names resources, as in history.Change, that the cluster must serve. Of the others, the built-in ones are required always, those of
	// Argo Rollouts and Traefik are observed from the moment they are served, and those on demand are not observed.
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
		if _, known := resource.Named(name); !known {
			return fmt.Errorf("observe the cluster: unknown resource %q is required: known are %s", name, strings.Join(resource.Names(resource.All()), ", "))
		}
	}
	return nil
}

// kinds are those that are observed: all that always are, and those that are required.
func (c Config) kinds() []resource.Kind {
	var kinds []resource.Kind
	for _, k := range resource.All() {
		required := slices.Contains(c.Require, k.Name)
		if k.OnDemand && !required {
			continue
		}
		k.Optional = k.Optional && !required
		kinds = append(kinds, k)
	}
	return kinds
}
