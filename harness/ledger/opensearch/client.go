package opensearch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bitvault.dev/rollproof/harness/ledger"
)

const (
	dialWithin    = time.Second
	longestAnswer = 16 << 20 // bytes
	told          = 160      // bytes of a refusal that are kept
)

// client asks the nodes behind some addresses, one of them at a time. It tries nothing twice: the ledger does.
type client struct {
	bases []string
	at    atomic.Uint32 // of bases
	http  *http.Client
}

func newClient(addresses []string) *client {
	dialer := &net.Dialer{Timeout: dialWithin}
	return &client{bases: addresses, http: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{MaxIdleConnsPerHost: 16, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, &ledger.NotWrittenError{Err: err} // nothing is sent without a connection
			}
			return conn, nil
		}},
	}}
}

// next has the next request go to another address, where there is one.
func (c *client) next() { c.at.Add(1) }

func (c *client) close() { c.http.CloseIdleConnections() }

// refusedError is an answer that is no success.
type refusedError struct {
	status int
	body   string // its beginning
}

func (r *refusedError) Error() string { return fmt.Sprintf("answered %d: %s", r.status, r.body) }

// untouched are the statuses of requests that changed nothing: they were wrong, forbidden or of what there is not. An overload (429), an error within
// (500) and a node that gave up waiting (503, 504) may all come after a write that was done.
var untouched = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge}

func (c *client) get(ctx context.Context, path string, into any) error {
	status, err := c.call(ctx, http.MethodGet, path, nil, into)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("it was answered %d", status)
	}
	return err
}

// call sends one request, and reads the answer to its end.
func (c *client) call(ctx context.Context, method, path string, body, into any) (status int, err error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return 0, fmt.Errorf("write the request: %w", err)
		}
		content = bytes.NewReader(data)
	}
	base := c.bases[int(c.at.Load()%uint32(len(c.bases)))]
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, content)
	if err != nil {
		return 0, &ledger.NotWrittenError{Err: err}
	}
	request.GetBody = nil // else the transport may send it again by itself
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		c.next()
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer+1))
	switch {
	case err != nil:
		c.next()
		return 0, fmt.Errorf("read the answer: %w", err)
	case len(answer) > longestAnswer:
		return 0, fmt.Errorf("read the answer: it is longer than %d bytes", longestAnswer)
	case response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusMultipleChoices:
		if response.StatusCode >= http.StatusInternalServerError {
			c.next()
		}
		err := error(&refusedError{response.StatusCode, string(answer[:min(len(answer), told)])})
		if slices.Contains(untouched, response.StatusCode) {
			err = &ledger.NotWrittenError{Err: err}
		}
		return response.StatusCode, err
	case into != nil:
		if err := json.Unmarshal(answer, into); err != nil {
			return 0, fmt.Errorf("read the answer: %w", err)
		}
	}
	return response.StatusCode, nil
}

// shards is the part of an answer that says how many copies took part.
type shards struct {
	Total      int `json:"total"`
	Successful int `json:"successful"`
	Failed     int `json:"failed"`
}

func (s *shards) String() string {
	if s == nil {
		return "nothing is told"
	}
	return fmt.Sprintf("%d of %d took part, %d failed", s.Successful, s.Total, s.Failed)
}

// all reports whether there are as many as wanted, and each took part.
func (s *shards) all(want int) bool {
	return s != nil && s.Failed == 0 && s.Successful == s.Total && s.Total == want
}
