package kind

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"bitvault.dev/rollproof/harness/words"
)

// ProbeNodePort is the node port of the readiness check "nodeport". kind-config.yaml maps a port of the loopback address to it.
const ProbeNodePort = 30081

// validName is kind's rule, without the dot: names of ours are also names of files and containers.
var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$`)

// Config is one kind configuration file, checked.
type Config struct {
	Path string
	Sum  string // sha256 of the file, in hex: two clusters of the same sum and node image are the same cluster
	Kind v1alpha4.Cluster
}

// LoadConfigIn reads the configuration that a command names, or kind-config.yaml in the project's root when it names none.
func LoadConfigIn(root, named string) (*Config, error) {
	if named == "" {
		named = filepath.Join(root, "kind-config.yaml")
	}
	return LoadConfig(named)
}

// LoadConfig reads and checks a kind configuration file. The error is one line that names the file, the place and the mistake.
func LoadConfig(path string) (*Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's configuration: %w", err)
	}
	cfg, err := ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	cfg.Path = path
	return cfg, nil
}

// ParseConfig checks the text of a kind configuration file.
func ParseConfig(raw []byte) (*Config, error) {
	cfg := &Config{}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&cfg.Kind); err != nil {
		return nil, fmt.Errorf("not a kind configuration: %s", words.OneLine(err.Error()))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document: kind would pass over all but the first, so keep one")
	}
	if cfg.Kind.APIVersion != "kind.x-k8s.io/v1alpha4" || cfg.Kind.Kind != "Cluster" {
		return nil, fmt.Errorf(`not a kind configuration: want kind "Cluster" and apiVersion "kind.x-k8s.io/v1alpha4", found %q and %q`,
			cfg.Kind.Kind, cfg.Kind.APIVersion)
	}
	sum := sha256.Sum256(raw)
	cfg.Sum = hex.EncodeToString(sum[:])
	return cfg, cfg.validate()
}

func (c *Config) validate() error {
	if family := c.Kind.Networking.IPFamily; family != "" && family != v1alpha4.IPv4Family {
		return fmt.Errorf("networking.ipFamily is %q: the pod network of the node image knows ipv4 only", family)
	}
	if err := checkSubnet("podSubnet", c.Kind.Networking.PodSubnet, "10.244.0.0/16"); err != nil {
		return err
	}
	if err := checkSubnet("serviceSubnet", c.Kind.Networking.ServiceSubnet, "10.96.0.0/16"); err != nil {
		return err
	}
	controlPlanes, taken := 0, map[string]bool{}
	for i, node := range c.Kind.Nodes {
		switch node.Role {
		case v1alpha4.ControlPlaneRole:
			controlPlanes++
		case v1alpha4.WorkerRole:
		default:
			return fmt.Errorf("nodes[%d].role is %q: want control-plane or worker", i, node.Role)
		}
		for _, port := range node.ExtraPortMappings {
			address := hostAddress(port)
			if port.HostPort < 1 || port.HostPort > 65535 || port.ContainerPort < 1 || port.ContainerPort > 65535 {
				return fmt.Errorf("nodes[%d].extraPortMappings: %d to %d: ports go from 1 to 65535", i, port.HostPort, port.ContainerPort)
			}
			socket := address + "/" + string(protocol(port))
			if taken[socket] {
				return fmt.Errorf("nodes[%d].extraPortMappings: %s is mapped twice for %s", i, address, protocol(port))
			}
			taken[socket] = true
		}
	}
	switch {
	case controlPlanes == 0:
		return errors.New("nodes: there is no control-plane")
	case controlPlanes > 1:
		return fmt.Errorf("nodes: %d control-planes: kind then needs a load balancer image, which rollproof does not build; keep one", controlPlanes)
	case c.probeAddress() == "":
		return fmt.Errorf("nodes: no extraPortMappings entry has containerPort %d for TCP, which the readiness check \"nodeport\" uses: paste below the "+
			"control-plane's role `extraPortMappings: [{listenAddress: 127.0.0.1, hostPort: 18081, containerPort: %d, protocol: TCP}]`, "+
			"or the part in braces as one more entry of the list", ProbeNodePort, ProbeNodePort)
	}
	return nil
}

// checkSubnet wants one range of IPv4 addresses, or none for kind's own.
func checkSubnet(field, subnet, example string) error {
	if subnet == "" {
		return nil
	}
	prefix, err := netip.ParsePrefix(subnet)
	if err != nil {
		return fmt.Errorf("networking.%s %q is not an address range such as %s", field, subnet, example)
	}
	if !prefix.Addr().Is4() {
		return fmt.Errorf("networking.%s %q is of IPv6: the pod network of the node image knows ipv4 only, so name a range such as %s", field, subnet, example)
	}
	return nil
}

// protocol is what a port is mapped for; TCP where the mapping says nothing, as with kind.
func protocol(port v1alpha4.PortMapping) v1alpha4.PortMappingProtocol {
	if port.Protocol == "" {
		return v1alpha4.PortMappingProtocolTCP
	}
	return port.Protocol
}

// Workers counts the worker nodes.
func (c *Config) Workers() int {
	workers := 0
	for _, node := range c.Kind.Nodes {
		if node.Role == v1alpha4.WorkerRole {
			workers++
		}
	}
	return workers
}

// RequireWorkers fails with one line when the configuration has fewer workers than what needs them.
func (c *Config) RequireWorkers(least int, what string) error {
	if have := c.Workers(); have < least {
		return fmt.Errorf("%s has %d workers, %s needs %d: add `- role: worker` under nodes", c.Path, have, what, least)
	}
	return nil
}

// hostPorts lists what the configuration binds on this machine.
func (c *Config) hostPorts() []v1alpha4.PortMapping {
	var ports []v1alpha4.PortMapping
	for _, node := range c.Kind.Nodes {
		ports = append(ports, node.ExtraPortMappings...)
	}
	return ports
}

// Address is where this machine reaches a node port over TCP, as host:port, "" when nothing maps to it.
func (c *Config) Address(nodePort int32) string {
	for _, port := range c.hostPorts() {
		if port.ContainerPort == nodePort && protocol(port) == v1alpha4.PortMappingProtocolTCP {
			return hostAddress(port)
		}
	}
	return ""
}

func (c *Config) probeAddress() string { return c.Address(ProbeNodePort) }

// kindConfig is the configuration as kind gets it: named, and with folder mounted into every node as containerd's hosts folder.
func (c *Config) kindConfig(name, hostsFolder string) *v1alpha4.Cluster {
	out := c.Kind.DeepCopy()
	out.Name = name
	for i := range out.Nodes {
		out.Nodes[i].ExtraMounts = append(out.Nodes[i].ExtraMounts,
			v1alpha4.Mount{HostPath: hostsFolder, ContainerPath: "/etc/containerd/certs.d", Readonly: true})
	}
	return out
}

func hostAddress(port v1alpha4.PortMapping) string {
	host := port.ListenAddress
	if host == "" {
		host = "0.0.0.0"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port.HostPort)))
}

func checkName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%q cannot name a cluster: use up to 50 small letters, digits and dashes", name)
	}
	return nil
}
