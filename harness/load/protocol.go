package load

import (
	"net/http"
	"sync/atomic"
)

// offered is what the transport may speak.
func offered(http2 bool) *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(http2)
	return &p
}

// protocols is which versions of HTTP answers came in. It is written once for each, whatever the number of hits.
type protocols struct{ http10, http11, http2 atomic.Bool }

func (p *protocols) saw(resp *http.Response) {
	flag := &p.http11
	switch {
	case resp.ProtoMajor == 2:
		flag = &p.http2
	case resp.ProtoMinor == 0:
		flag = &p.http10
	}
	if !flag.Load() {
		flag.Store(true)
	}
}

func (p *protocols) seen() []string {
	var names []string
	for _, version := range []struct {
		name string
		seen *atomic.Bool
	}{{"HTTP/1.0", &p.http10}, {"HTTP/1.1", &p.http11}, {"HTTP/2.0", &p.http2}} {
		if version.seen.Load() {
			names = append(names, version.name)
		}
	}
	return names
}
