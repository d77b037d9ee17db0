package load

import (
	"net/http"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/words"
)

// Arm is one way of sending hits. It must not be changed while it is in use.
type Arm struct {
	Name           string           // names the file of hits: lower-case letters, digits and dashes
	Method         string           // of hits that no traffic file describes
	Targets        []string         // URLs, hit in turn; with a traffic file its paths are appended
	KeepAlive      bool             // false: a new connection for each hit
	IdempotencyKey bool             // send the hit's id as Idempotency-Key, which lets Go's transport send a POST again
	Control        bool             // Targets are a responder that nothing disturbs
	Workload       history.Workload // whose answers it gets, for the record; may be left out
	Path           *Path            // of a control arm whose responder is a node of the cluster, before anything of the stack: see PathArm
	Header         http.Header
	Body           []byte
}

var postBody = []byte(`{"from":"rollproof"}` + "\n")

func builtinArms() []Arm {
	json := http.Header{"Content-Type": {"application/json"}}
	return []Arm{
		{Name: "get", Method: http.MethodGet, KeepAlive: true},
		{Name: "post", Method: http.MethodPost, KeepAlive: true, IdempotencyKey: true, Header: json, Body: postBody},
		{Name: "post-close", Method: http.MethodPost, Header: json, Body: postBody},
		{Name: "get-close", Method: http.MethodGet},
		{Name: "control", Method: http.MethodGet, KeepAlive: true, Control: true},
	}
}

// NewArm is the built-in arm of that name, aimed at targets. The package documentation says what each is for.
func NewArm(name string, targets ...string) (Arm, error) {
	for _, arm := range builtinArms() {
		if arm.Name == name {
			arm.Targets = targets
			return arm, nil
		}
	}
	return Arm{}, words.Unknown("arm", name, ArmNames())
}

// ArmNames lists the built-in arms.
func ArmNames() []string {
	var names []string
	for _, arm := range builtinArms() {
		names = append(names, arm.Name)
	}
	return names
}

// safe reports whether the method promises to change nothing (RFC 9110, 9.2.1).
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}
