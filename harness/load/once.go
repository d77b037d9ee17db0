package load

import (
	"io"
	"net/http"
)

// sentOnce makes a request that net/http never sends again. The transport repeats one that fails on a connection it used before when the
// request could be sent again (net/http, Request.isReplayable and Transport.shouldRetryRequest): it has no body or can get it anew
// (GetBody), and its method is safe or it carries an Idempotency-Key. A body that can be read only once rules that out, also an empty one: of
// methods that mostly have none, net/http looks whether one comes, and sends none. Of others, it sends one in chunks.
func sentOnce(req *http.Request) {
	req.GetBody = nil
	keyed := req.Header["Idempotency-Key"] != nil || req.Header["X-Idempotency-Key"] != nil
	if req.Body == nil && (safe(req.Method) || keyed) {
		req.Body = nothing{}
	}
}

// nothing is an empty body that net/http does not know to be empty.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }
func (nothing) Close() error             { return nil }
