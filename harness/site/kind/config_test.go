package kind

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const goodConfig = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraPortMappings:
  - {listenAddress: 127.0.0.1, hostPort: 18081, containerPort: 30081, protocol: TCP}
- role: worker
- role: worker
`

// udp is one more mapping of the last worker, beside the probe's over TCP.
const udp = `  extraPortMappings:
  - {listenAddress: 127.0.0.1, hostPort: 18081, containerPort: 30082, protocol: UDP}
- role: worker
`

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	cfg, err := ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Path = "kind-config.yaml"
	return cfg
}

func TestTheProjectsOwnConfiguration(t *testing.T) {
	cfg, err := LoadConfig("../../../kind-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Workers() != 2 || cfg.probeAddress() != "127.0.0.1:18081" || len(cfg.hostPorts()) != 3 {
		t.Errorf("%d workers, probe at %s, %d ports", cfg.Workers(), cfg.probeAddress(), len(cfg.hostPorts()))
	}
	for _, port := range cfg.hostPorts() {
		if port.ListenAddress != "127.0.0.1" {
			t.Errorf("port %d listens on %q: load stays on the loopback address", port.HostPort, port.ListenAddress)
		}
	}
	if err := cfg.RequireWorkers(2, "scenario drain"); err != nil {
		t.Error(err)
	}
}

// The configuration of stores is the project's own with a third worker.
func TestTheConfigurationOfStoresHasOneWorkerMore(t *testing.T) {
	own, err := LoadConfig("../../../kind-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	stores, err := LoadConfig("../../../kind-config-stores.yaml")
	if err != nil {
		t.Fatal(err)
	}
	wider := own.Kind.DeepCopy()
	wider.Nodes = append(wider.Nodes, own.Kind.Nodes[len(own.Kind.Nodes)-1])
	if !reflect.DeepEqual(*wider, stores.Kind) || stores.Workers() != 3 {
		t.Errorf("kind-config-stores.yaml has %d workers and is\n%+v\nwant\n%+v", stores.Workers(), stores.Kind, *wider)
	}
}

func TestBadConfigurationIsOneClearLine(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"not yaml":          {"nodes: [", "line 1"},
		"not a kind config": {"kind: Pod\napiVersion: v1\n", `found "Pod" and "v1"`},
		"unknown field":     {goodConfig + "nodess: []\n", "line 9: field nodess not found"},
		"empty":             {"", "EOF"},
		"wrong type":        {strings.Replace(goodConfig, "hostPort: 18081", "hostPort: web", 1), "line 6"},
		"role":              {goodConfig + "- role: boss\n", `nodes[3].role is "boss"`},
		"no control plane":  {"kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: worker}]\n", "no control-plane"},
		"two of them":       {goodConfig + "- role: control-plane\n", "2 control-planes"},
		"port twice":        {goodConfig + "  extraPortMappings: [{listenAddress: 127.0.0.1, hostPort: 18081, containerPort: 1}]\n", "127.0.0.1:18081 is mapped twice for TCP"},
		"UDP twice":         {goodConfig + udp + udp, "127.0.0.1:18081 is mapped twice for UDP"},
		"an odd protocol":   {goodConfig + strings.Replace(udp, "UDP", "QUIC", 1), `Unknown PortMappingProtocol: "QUIC"`},
		"port range":        {goodConfig + "  extraPortMappings: [{hostPort: 99999, containerPort: 1}]\n", "99999"},
		"no probe port":     {strings.Replace(goodConfig, "30081", "30082", 1), "`extraPortMappings: [{listenAddress: 127.0.0.1, hostPort: 18081, containerPort: 30081, protocol: TCP}]`"},
		"probe port by UDP": {strings.Replace(goodConfig, "protocol: TCP", "protocol: UDP", 1), "containerPort 30081 for TCP"},
		"ipv6":              {goodConfig + "networking: {ipFamily: ipv6}\n", "ipv6"},
		"subnet":            {goodConfig + "networking: {podSubnet: 10.244.0.0}\n", "10.244.0.0"},
		"subnet of ipv6":    {goodConfig + "networking: {podSubnet: \"fd00:10:244::/56\"}\n", `networking.podSubnet "fd00:10:244::/56" is of IPv6`},
		"both families":     {goodConfig + "networking: {podSubnet: \"10.244.0.0/16,fd00:10:244::/56\"}\n", "networking.podSubnet"},
		"service subnet":    {goodConfig + "networking: {serviceSubnet: services}\n", `networking.serviceSubnet "services" is not an address range`},
		"services of ipv6":  {goodConfig + "networking: {serviceSubnet: \"fd00:10:96::/112\"}\n", "networking.serviceSubnet"},
		"two documents":     {goodConfig + "---\nkind: Cluster\n", "more than one YAML document"},
		"two, one broken":   {goodConfig + "---\nnodes: [\n", "more than one YAML document"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kind-config.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := LoadConfig(path)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%q names neither the file nor %q", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
	if _, err := LoadConfig("/nonexistent.yaml"); err == nil || !strings.Contains(err.Error(), "/nonexistent.yaml") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestTheSamePortOverTCPAndUDPIsNoClash(t *testing.T) {
	cfg := mustParse(t, goodConfig+udp)
	if cfg.probeAddress() != "127.0.0.1:18081" || cfg.Address(30082) != "" {
		t.Errorf("probe at %q, the port of UDP at %q: want none, for load is TCP", cfg.probeAddress(), cfg.Address(30082))
	}
	for _, end := range []string{"...\n", "# the end\n"} {
		mustParse(t, "---\n"+goodConfig+end)
	}
}

func TestTooFewWorkersNamesWhoNeedsThem(t *testing.T) {
	cfg := mustParse(t, strings.ReplaceAll(goodConfig, "- role: worker\n", ""))
	if err := cfg.RequireWorkers(0, ""); err != nil {
		t.Error(err)
	}
	err := cfg.RequireWorkers(2, "scenario node-loss")
	if err == nil || err.Error() != "kind-config.yaml has 0 workers, scenario node-loss needs 2: add `- role: worker` under nodes" {
		t.Errorf("got %v", err)
	}
}

func TestKindConfigMountsTheHostsFolderIntoEveryNodeAndLeavesTheOriginalAlone(t *testing.T) {
	cfg := mustParse(t, goodConfig)
	out := cfg.kindConfig("x", "/state/certs.d")
	if out.Name != "x" {
		t.Errorf("called %q", out.Name)
	}
	for i, node := range out.Nodes {
		if len(node.ExtraMounts) != 1 || node.ExtraMounts[0].HostPath != "/state/certs.d" || !node.ExtraMounts[0].Readonly {
			t.Errorf("node %d mounts %+v", i, node.ExtraMounts)
		}
		if len(cfg.Kind.Nodes[i].ExtraMounts) != 0 {
			t.Errorf("node %d of the original was changed", i)
		}
	}
}

func TestNames(t *testing.T) {
	for _, good := range []string{"rollproof", "a", "e2e-1", strings.Repeat("a", 50)} {
		if err := checkName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "-a", "a-", "A", "a.b", "a/b", "..", "a b", strings.Repeat("a", 51)} {
		if checkName(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(goodConfig))
	f.Add([]byte("nodes: [[]]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		cfg, err := ParseConfig(raw)
		switch {
		case err != nil && strings.Contains(err.Error(), "\n"):
			t.Errorf("more than one line: %q", err)
		case err == nil && cfg.probeAddress() == "":
			t.Error("accepted without a port for the readiness check")
		}
	})
}
