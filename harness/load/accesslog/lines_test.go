package accesslog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/load"
)

// moment is the second in which every line below was logged, whatever its time zone.
var moment = time.Date(2025, 10, 10, 13, 55, 36, 0, time.UTC)

// iisFields and edgeFields are the headers that lines of iis and cloudfront need.
const (
	iisFields  = "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken"
	edgeFields = "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query x-host-header cs-protocol-version"
)

var headers = map[string]string{"iis": iisFields, "cloudfront": edgeFields}

// publicLines are kinds of line that servers write, each with what is made of it: a request, with the status that a replay expects if that is
// not every 2xx; or the reason for which the line is left out.
var publicLines = []struct{ kind, format, line, want string }{
	// Apache: https://httpd.apache.org/docs/current/mod/mod_log_config.html
	{"apache common", "combined", `192.0.2.1 - frank [10/Oct/2025:06:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326`, "GET /apache_pb.gif"},
	{"apache combined", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 2326 "https://example.org/" "Mozilla/5.0 (X11; Linux x86_64)"`, "GET /a"},
	{"apache vhost_combined", "combined", `example.org:443 192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 23 "-" "curl/8"`, "GET /a"},
	{"apache with %D", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 23 "-" "curl/8" 48213`, "GET /a"},
	{"apache with %T/%D", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 23 0/48213`, "GET /a"},
	{"apache with X-Forwarded-For", "combined", `192.0.2.1, 198.51.100.7 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 23`, "GET /a"},
	{"apache, no X-Forwarded-For", "combined", `- - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 23 "-" "-"`, "GET /a"},
	{"apache with milliseconds", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36.123 +0000] "GET /a HTTP/1.1" 200 23`, "GET /a"},
	{"apache internal dummy connection", "combined", `::1 - - [10/Oct/2025:13:55:36 +0000] "OPTIONS * HTTP/1.0" 200 126 "-" "Apache (internal dummy connection)"`, "server-wide"},
	{"apache, no size", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 304 -`, "GET /a [2xx 304]"},
	{"apache request time-out", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "-" 408 - "-" "-"`, "empty-request"},
	{"apache, bytes of a request escaped", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a\tb\\c\"d HTTP/1.1" 200 23`, "GET /a%09b%5Cc%22d"},
	{"apache ssl_request_log: a size, no status", "combined", `[10/Oct/2025:13:55:36 +0000] 192.0.2.1 TLSv1.3 TLS_AES_256_GCM_SHA384 "GET / HTTP/1.1" 304`, "other-text"},
	{"apache error log", "combined", `[Fri Oct 10 13:55:36.120000 2025] [core:error] [pid 31] [client 192.0.2.1:4711] AH00126: Invalid URI in request`, "error-log"},

	// nginx: https://nginx.org/en/docs/http/ngx_http_log_module.html
	{"nginx combined", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/2.0" 200 612 "-" "Mozilla/5.0"`, "GET /a"},
	{"nginx main with x_forwarded_for", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612 "-" "curl/8" "198.51.100.7, 192.0.2.9"`, "GET /a"},
	{"nginx with request_time and upstream times", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612 "-" "curl/8" rt=0.005 uct="0.000" uht="0.004" urt="0.004"`, "GET /a"},
	{"nginx with $host before the request", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] example.org "GET /a HTTP/1.1" 200 612`, "GET /a"},
	{`nginx with "$host" before the request`, "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "example.org" "GET /a HTTP/1.1" 200 612`, "GET /a"},
	{"nginx with $time_iso8601", "combined", `192.0.2.1 - - [2025-10-10T13:55:36+00:00] "GET /a HTTP/1.1" 200 612 "-" "-"`, "GET /a"},
	{"nginx HTTP/3", "combined", `2001:db8::1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/3.0" 200 612 "-" "-"`, "GET /a"},
	{"nginx UTF-8", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /caf\xC3\xA9?q=\x22x\x22 HTTP/1.1" 200 612`, "GET /caf%C3%A9?q=%22x%22"},
	{"nginx escape=none, quotes", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /q?name="x y" HTTP/1.1" 200 612 "-" "curl"`, "GET /q?name=%22x%20y%22"},
	{"nginx escape=none, backslash", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a\dir HTTP/1.1" 200 612 "-" "curl"`, "GET /a%5Cdir"},
	{"nginx TLS on a plain port", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03" 400 150 "-" "-"`, "tls-handshake"},
	{"nginx HTTP on a TLS port", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 497 255 "-" "-"`, "bad-request"},
	{"nginx 400 of a readable line", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 400 255 "-" "-"`, "bad-request"},
	{"nginx 499", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /slow HTTP/1.1" 499 0 "-" "-"`, "GET /slow"},
	{"nginx 444", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /scan HTTP/1.1" 444 0 "-" "-"`, "GET /scan"},
	{"nginx PROXY protocol header", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "PROXY TCP4 192.0.2.1 192.0.2.2 4711 80" 400 150 "-" "-"`, "not-http"},
	{"nginx a WebSocket", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /ws HTTP/1.1" 101 0 "-" "-"`, "switched-protocols"},
	{"nginx binary garbage", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "\x03\x00\x00/*\xE0\x00\x00\x00\x00\x00Cookie: mstshash=user" 400 150 "-" "-"`, "not-http"},
	{"nginx error log", "combined", `2025/10/10 13:55:36 [error] 31#31: *46 open() "/x" failed (2: No such file or directory), request: "GET /x HTTP/1.1"`, "error-log"},
	{"nginx without the user's end", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1`, "other-text"},

	// ingress-nginx: docs/user-guide/nginx-configuration/log-format.md
	{"ingress-nginx upstreaminfo", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612 "-" "curl/8" 78 0.002 [default-web-80] [] 198.51.100.2:8080 612 0.002 200 2f14ad0d9b`, "GET /a"},
	{"ingress-nginx, two upstreams", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 502 150 "-" "curl/8" 78 0.004 [default-web-80] [] 198.51.100.2:8080, 198.51.100.3:8080 0, 150 0.000, 0.002 502, 502 2f14ad0d9b`, "GET /a"},
	{"ingress-nginx its own log", "combined", `I1010 13:55:36.120000       7 controller.go:190] "Configuration changes detected, backend reload required"`, "error-log"},
	{"kubectl logs --prefix", "combined", `[pod/web-5d9/nginx] 192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612`, "GET /a"},
	{"containerd's log file", "combined", `2025-10-10T13:55:36.120000001Z stdout F 192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612`, "GET /a"},
	{"Docker's log file", "combined", `{"log":"192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] \"GET /a\\xC3\\xA9 HTTP/1.1\" 200 612 \"-\" \"-\"\n","stream":"stdout","time":"2025-10-10T13:55:36.12Z"}`, "GET /a%C3%A9"},
	{"syslog", "combined", `Oct 10 13:55:36 web-1 nginx: 192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612 "-" "-"`, "GET /a"},

	// What stands before the time, and users' names
	{"IPv6 client", "combined", `2001:db8::dead:beef - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612`, "GET /a"},
	{"user with blanks", "combined", `192.0.2.1 - some body else [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612`, "GET /a"},
	{"user with brackets", "combined", `192.0.2.1 - [x] [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612`, "GET /a"},
	{"user with a quote", "combined", `192.0.2.1 - o\"neil [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612`, "GET /a"},
	{"zone half an hour off", "combined", `192.0.2.1 - - [10/Oct/2025:19:25:36 +0530] "GET /a HTTP/1.1" 200 612`, "GET /a"},
	{"zone before midnight", "combined", `192.0.2.1 - - [11/Oct/2025:03:55:36 +1400] "GET /a HTTP/1.1" 200 612`, "GET /a"},
	{"month in another language", "combined", `192.0.2.1 - - [10/Okt/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612`, "other-text"},
	{"day that does not exist", "combined", `192.0.2.1 - - [31/Sep/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612`, "other-text"},
	{"year out of range", "combined", `192.0.2.1 - - [10/Oct/0001:13:55:36 +0000] "GET /a HTTP/1.1" 200 612`, "other-text"},
	{"quotes in the user agent", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612 "-" "bot (\"GET /b HTTP/1.1\" 404 1)"`, "GET /a"},
	{"a request in the user agent of none", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "-" 408 0 "-" "GET /b HTTP/1.1" 200 1`, "empty-request"},
	{"end of a Windows line", "combined", "192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 612\r\n", "GET /a"},
	{"more than 64 KiB", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612 "-" "` + strings.Repeat("a", 100<<10) + `"`, "GET /a"},
	{"more than 1 MiB", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 612 "-" "` + strings.Repeat("a", 1<<20) + `"`, "too-long"},

	// What is asked for
	{"absolute URI", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET http://example.org/a?b HTTP/1.1" 200 612`, "GET /a?b"},
	{"absolute URI without a path", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET HTTPS://example.org HTTP/1.1" 200 612`, "GET /"},
	{"absolute URI with a query only", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET http://example.org?b HTTP/1.1" 200 612`, "GET /?b"},
	{"name of a host", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET www.example.org/ HTTP/1.1" 404 612`, "no-path"},
	{"* of GET", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET * HTTP/1.1" 404 612`, "no-path"},
	{"CONNECT", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "CONNECT example.org:443 HTTP/1.1" 405 612`, "connect"},
	{"preface of HTTP/2", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "PRI * HTTP/2.0" 400 150`, "http2-preface"},
	{"RTSP", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "OPTIONS / RTSP/1.0" 400 150`, "other-protocol"},
	{"SIP", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "OPTIONS sip:nm SIP/2.0" 400 150`, "other-protocol"},
	{"HTTP/0.9", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /" 200 612`, "http-0.9"},
	{"quit", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "quit" 400 150`, "not-http"},
	{"SSH", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "SSH-2.0-Go" 400 150`, "not-http"},
	{"method in lower case", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "get / HTTP/1.1" 405 150`, "method-case"},
	{"POST", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "POST /buy HTTP/1.1" 201 5`, "unsafe-method"},
	{"a method of WebDAV", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "PROPFIND / HTTP/1.1" 405 5`, "unsafe-method"},
	{"HEAD", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "HEAD /a HTTP/1.1" 301 0`, "HEAD /a [301]"},
	{"OPTIONS of a resource", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "OPTIONS /a HTTP/1.1" 204 0`, "OPTIONS /a"},
	{"% that is no escape", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /100%/x%2?y=50%&z=%zz HTTP/1.1" 404 5`, "GET /100%25/x%252?y=50%25&z=%25zz [404]"},
	{"two blanks and one in the path", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET  /a b  HTTP/1.1" 404 5`, "GET /a%20b [404]"},
	{"Latin-1", "combined", "192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] \"GET /caf\xe9?q=\xff HTTP/1.1\" 200 5", "GET /caf%E9?q=%FF"},
	{"fragment", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a#b HTTP/1.1" 200 5`, "GET /a"},
	{"path as it is", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET //a//../%2e%2E/%2F;b=c?d={1}|[2]&e=+ HTTP/1.1" 200 5`, "GET //a//../%2e%2E/%2F;b=c?d={1}|[2]&e=+"},
	{"206 of a range", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /v.mp4 HTTP/1.1" 206 5`, "GET /v.mp4"},
	{"416 of a range", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /v.mp4 HTTP/1.1" 416 5`, "GET /v.mp4 [2xx 416]"},
	{"412", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 412 5`, "GET /a [2xx 412]"},
	{"429", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 429 5`, "GET /a [2xx 429]"},
	{"a failure of the server", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 503 5`, "GET /a"},
	{"no status of HTTP", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 999 5`, "no-status"},

	// Other servers that write Common Log Format
	{"Tomcat", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /docs/ HTTP/1.1" 200 17482`, "GET /docs/"},
	{"gunicorn", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 12 "-" "curl/8"`, "GET /a"},
	{"Python http.server", "combined", `192.0.2.1 - - [10/Oct/2025 13:55:36] "GET /a HTTP/1.1" 200 -`, "GET /a"},
	{"lighttpd", "combined", `192.0.2.1 example.org - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 345 "-" "curl/8"`, "GET /a"},
	{"Varnish", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET http://example.org/a HTTP/1.1" 200 345 "-" "curl/8"`, "GET /a"},
	{"HAProxy option httplog clf", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 2750 "" "" 33317 655 "http-in" "static" "srv1" 10 0 30 69 109 ---- 1 1 1 1 0 0 0 "" ""`, "GET /a"},
	{"S3", "combined", `79a59df9 bucket [10/Oct/2025:13:55:36 +0000] 192.0.2.1 79a59df9 3E57427F REST.GET.OBJECT a.jpg "GET /bucket/a.jpg HTTP/1.1" 200 - 113 - 7 - "-" "S3Console/0.4" -`, "GET /bucket/a.jpg"},
	{"S3 without a request", "combined", `79a59df9 bucket [10/Oct/2025:13:55:36 +0000] - AmazonS3 3E57427F S3.EXPIRE.OBJECT a.jpg "-" - - 113 - - - "-" "-" -`, "empty-request"},
	{"Traefik common", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 512 "-" "-" 45 "web@kubernetes" "http://198.51.100.2:80" 3ms`, "GET /a"},
	{"Traefik common without an answer", "combined", `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /mobile HTTP/1.1" - - "-" "-" 45640 "-" "-" 0ms`, "no-status"},

	// Envoy and Istio: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
	{"Envoy text", "combined", `[2025-10-10T13:55:36.310Z] "GET /api/v1/locations HTTP/2" 204 - 154 0 226 100 "192.0.2.28" "nsq2http" "cc21d9b0" "locations" "tcp://198.51.100.1:80"`, "GET /api/v1/locations"},
	{"Istio text", "combined", `[2025-10-10T13:55:36.310Z] "GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 3 1 "-" "curl/8" "84961386" "httpbin:8000" "198.51.100.1:80" inbound|8000||`, "GET /status/418 [418]"},
	{"Envoy TCP", "combined", `[2025-10-10T13:55:36.310Z] "- - -" 0 - - - "-" 1234 5678 90 - "-" "-" "-" "-" "198.51.100.1:3306"`, "empty-request"},
	{"Envoy, client gone", "combined", `[2025-10-10T13:55:36.310Z] "GET /a HTTP/1.1" 0 DC downstream_remote_disconnect - "-" 0 0 3 - "-" "-" "-" "-" "-"`, "no-status"},
	{"Istio JSON", "envoy-json", `{"authority":"httpbin:8000","bytes_sent":135,"method":"GET","path":"/status/418?a=1","protocol":"HTTP/1.1","response_code":418,"start_time":"2025-10-10T13:55:36.419Z","upstream_cluster":"inbound|8000||"}`, "GET /status/418?a=1 [418]"},
	{"Istio JSON of TCP", "envoy-json", `{"method":null,"path":null,"protocol":null,"response_code":0,"start_time":"2025-10-10T13:55:36.419Z"}`, "other-text"},
	{"Istio's own log", "envoy-json", `2025-10-10T13:55:36.120000Z	info	Envoy proxy is ready`, "other-text"},

	// Traefik: https://doc.traefik.io/traefik/observability/access-logs/
	{"Traefik JSON", "traefik-json", `{"ClientAddr":"192.0.2.1:1","DownstreamStatus":302,"Duration":1,"RequestMethod":"GET","RequestPath":"/a?b=c","RequestProtocol":"HTTP/2.0","StartUTC":"2025-10-10T13:55:36.25Z","level":"info","msg":"","time":"2025-10-10T13:55:36Z"}`, "GET /a?b=c [302]"},
	{"Traefik JSON, StartLocal only", "traefik-json", `{"OriginStatus":200,"RequestMethod":"GET","RequestPath":"/a","StartLocal":"2025-10-10T15:55:36.25+02:00"}`, "GET /a"},
	{"Traefik JSON, no method kept", "traefik-json", `{"DownstreamStatus":200,"RequestPath":"/a","StartUTC":"2025-10-10T13:55:36Z"}`, "other-text"},
	{"Traefik JSON, DELETE", "traefik-json", `{"DownstreamStatus":204,"RequestMethod":"DELETE","RequestPath":"/a","StartUTC":"2025-10-10T13:55:36Z"}`, "unsafe-method"},
	{"Traefik JSON cut off", "traefik-json", `{"DownstreamStatus":204,"RequestMethod":"GET","RequestPath":"/a","StartUTC":"2025-10-10T13:55`, "other-text"},
	{"Traefik JSON by kubectl logs --timestamps", "traefik-json", `2025-10-10T13:55:37.1Z {"DownstreamStatus":200,"RequestMethod":"GET","RequestPath":"/a","StartUTC":"2025-10-10T13:55:36Z"}`, "GET /a"},

	// Caddy: https://caddyserver.com/docs/caddyfile/directives/log
	{"Caddy", "caddy-json", `{"level":"info","ts":1760104536.5241024,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.1","proto":"HTTP/2.0","method":"GET","host":"example.org","uri":"/a?b=c","headers":{"User-Agent":["curl/8"]},"tls":{"resumed":false}},"duration":0.0009,"size":10900,"status":200,"resp_headers":{"Server":["Caddy"]}}`, "GET /a?b=c"},
	{"Caddy, time_format iso8601", "caddy-json", `{"ts":"2025-10-10T13:55:36.524+0000","request":{"proto":"HTTP/1.1","method":"GET","uri":"/a"},"status":404}`, "GET /a [404]"},
	{"Caddy, time_format wall_milli", "caddy-json", `{"ts":"2025/10/10 13:55:36.524","request":{"proto":"HTTP/1.1","method":"GET","uri":"/a"},"status":200}`, "GET /a"},
	{"Caddy, time_format unix_milli_float", "caddy-json", `{"ts":1760104536524.1,"request":{"proto":"HTTP/1.1","method":"GET","uri":"/a"},"status":200}`, "GET /a"},
	{"Caddy, time_format unix_nano", "caddy-json", `{"ts":1760104536524000000,"request":{"proto":"HTTP/1.1","method":"GET","uri":"/a"},"status":200}`, "GET /a"},
	{"Caddy, bytes that its logger lost", "caddy-json", `{"ts":1760104536.5,"request":{"method":"GET","uri":"/caf\ufffd"},"status":200}`, "lost-bytes"},
	{"Caddy, a connection that hung up", "caddy-json", `{"ts":1760104536.5,"request":{"method":"GET","uri":"/a"},"status":0}`, "no-status"},
	{"Caddy's own log", "caddy-json", `{"level":"info","ts":1760104536.5,"logger":"tls","msg":"cleaning storage unit"}`, "other-text"},

	// nginx as JSON
	{"nginx JSON, request", "nginx-json", `{"time_local":"10/Oct/2025:13:55:36 +0000","remote_addr":"192.0.2.1","request":"GET /a?b=\"c\" HTTP/1.1","status":"200","request_time":"0.002"}`, "GET /a?b=%22c%22"},
	{"nginx JSON, method and URI", "nginx-json", `{"time_iso8601":"2025-10-10T13:55:36+00:00","request_method":"GET","request_uri":"/a?b=c","server_protocol":"HTTP/1.1","status": 200}`, "GET /a?b=c"},
	{"nginx JSON, msec", "nginx-json", `{"msec":"1760104536.123","request_method":"GET","request_uri":"/a","status":"200"}`, "GET /a"},
	{"nginx JSON, Latin-1", "nginx-json", "{\"msec\":\"1760104536.123\",\"request_method\":\"GET\",\"request_uri\":\"/caf\xe9\\u0001\",\"status\":\"200\"}", "GET /caf%E9%01"},
	{"nginx JSON, character beyond 16 bits", "nginx-json", `{"msec":"1760104536.123","request":"GET /\ud83d\ude00 HTTP/1.1","status":"200"}`, "GET /%F0%9F%98%80"},
	{"nginx JSON, $uri only", "nginx-json", `{"msec":"1760104536.123","request_method":"GET","uri":"/a","status":"200"}`, "other-text"},
	{"nginx JSON, TLS on a plain port", "nginx-json", `{"msec":"1760104536.123","request":"\u0016\u0003\u0001","status":"400"}`, "tls-handshake"},
	{"nginx JSON, no request", "nginx-json", `{"msec":"1760104536.123","request":"","status":"400"}`, "empty-request"},
	{"nginx JSON by syslog", "nginx-json", `<190>Oct 10 13:55:36 web-1 nginx: {"msec":"1760104536.123","request":"GET /a HTTP/1.1","status":"200"}`, "GET /a"},

	// HAProxy: configuration manual, 8.2.3, 8.2.4 and 8.6
	{"HAProxy", "haproxy", `Oct 10 13:55:36 lb haproxy[14389]: 192.0.2.2:33317 [10/Oct/2025:13:55:36.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {example.org} {} "GET /index.html HTTP/1.1"`, "GET /index.html"},
	{"HAProxy httpslog", "haproxy", `192.0.2.2:33317 [10/Oct/2025:13:55:36.655] https-in~ static/srv1 10/0/30/69/109 404 2750 - - ---- 1/1/1/1/0 0/0 "GET /a HTTP/2.0" 0/0000000000000000/0/0/0 example.org/TLSv1.3/TLS_AES_256_GCM_SHA384`, "GET /a [404]"},
	{"HAProxy, logasap", "haproxy", `192.0.2.2:33317 [10/Oct/2025:13:55:36.655] http-in static/srv1 9/10/7/14/+30 200 +243 - - ---- 3/1/1/1/0 0/0 "GET /image.iso HTTP/1.0"`, "GET /image.iso"},
	{"HAProxy, escaped bytes", "haproxy", `192.0.2.2:33317 [10/Oct/2025:13:55:36.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "GET /caf#C3#A9?q=#22x#22 HTTP/1.1"`, "GET /caf%C3%A9?q=%22x%22"},
	{"HAProxy, BADREQ", "haproxy", `192.0.2.2:33317 [10/Oct/2025:13:55:36.655] http-in http-in/<NOSRV> -1/-1/-1/-1/30 400 187 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>"`, "bad-request"},
	{"HAProxy, client gone", "haproxy", `192.0.2.2:33317 [10/Oct/2025:13:55:36.655] http-in static/srv1 10/0/30/-1/109 -1 0 - - CH-- 1/1/1/1/0 0/0 "GET /a HTTP/1.1"`, "no-status"},
	{"HAProxy, cut off by syslog", "haproxy", `192.0.2.2:33317 [10/Oct/2025:13:55:36.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "GET /index`, "cut-off"},
	{"HAProxy TCP", "haproxy", `192.0.2.2:33317 [10/Oct/2025:13:55:36.655] fnt bck/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0`, "other-text"},
	{"HAProxy, a server went down", "haproxy", `Oct 10 13:55:36 lb haproxy[14389]: Server static/srv1 is DOWN, reason: Layer4 timeout`, "other-text"},

	// AWS load balancers: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
	{"ALB", "aws-elb", `https 2025-10-10T13:55:36.186641Z app/lb/50dc6c495c0c9188 192.0.2.1:2817 198.51.100.2:80 0.086 0.048 0.037 200 200 0 57 "GET https://example.org:443/a?b=c HTTP/1.1" "curl/8" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing "Root=1-58337281" "example.org" "-" 1 2025-10-10T13:55:36.100000Z "forward" "-" "-" "198.51.100.2:80" "200" "-" "-"`, "GET /a?b=c"},
	{"ALB, HTTP/2", "aws-elb", `h2 2025-10-10T13:55:36.186641Z app/lb/50dc6c495c0c9188 192.0.2.1:2817 198.51.100.2:80 0.000 0.001 0.000 404 404 5 257 "GET https://example.org:443/a HTTP/2.0" "curl/8"`, "GET /a [404]"},
	{"ALB, a WebSocket", "aws-elb", `wss 2025-10-10T13:55:36.186641Z app/lb/50dc6c495c0c9188 192.0.2.1:2817 198.51.100.2:80 0.000 0.001 0.000 101 101 218 786 "GET https://example.org:443/ws HTTP/1.1" "-"`, "switched-protocols"},
	{"ALB, no target", "aws-elb", `http 2025-10-10T13:55:36.186641Z app/lb/50dc6c495c0c9188 192.0.2.1:2817 - -1 -1 -1 503 - 34 366 "GET http://example.org:80/ HTTP/1.1" "curl/8"`, "GET /"},
	{"ALB, client gone", "aws-elb", `http 2025-10-10T13:55:36.186641Z app/lb/50dc6c495c0c9188 192.0.2.1:2817 198.51.100.2:80 0.000 1.001 -1 460 - 34 0 "GET http://example.org:80/slow HTTP/1.1" "curl/8"`, "GET /slow"},
	{"ALB, no request", "aws-elb", `http 2025-10-10T13:55:36.186641Z app/lb/50dc6c495c0c9188 192.0.2.1:2817 - -1 -1 -1 400 - 0 272 "- http://example.org:80- -" "-" - -`, "empty-request"},
	{"Classic ELB", "aws-elb", `2025-10-10T13:55:36.945958Z lb 192.0.2.1:2817 198.51.100.2:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://example.org:80/a HTTP/1.1" "curl/8" - -`, "GET /a"},
	{"Classic ELB, TCP", "aws-elb", `2025-10-10T13:55:36.945958Z lb 192.0.2.1:2817 198.51.100.2:80 0.001069 0.000028 0.000041 - - 82 305 "- - - " "-" - -`, "empty-request"},

	// CloudFront: Developer Guide, "Standard logging reference"
	{"CloudFront", "cloudfront", "2025-10-10\t13:55:36\tFRA50-C1\t2390\t192.0.2.1\tGET\td111.cloudfront.net\t/a.html\t200\t-\tcurl/8\tb=c\texample.org\tHTTP/2.0", "GET /a.html?b=c"},
	{"CloudFront, no query", "cloudfront", "2025-10-10\t13:55:36\tFRA50-C1\t2390\t2001:db8::1\tHEAD\td111.cloudfront.net\t/\t301\t-\tcurl/8\t-\texample.org\tHTTP/2.0", "HEAD / [301]"},
	{"CloudFront, escapes of its own", "cloudfront", "2025-10-10\t13:55:36\tFRA50-C1\t2390\t192.0.2.1\tGET\td111.cloudfront.net\t/caf%25C3%25A9/%7Eme\t200\t-\tcurl/8\tq=%2522\texample.org\tHTTP/2.0", "GET /caf%C3%A9/~me?q=%22"},
	{"CloudFront, client gone", "cloudfront", "2025-10-10\t13:55:36\tFRA50-C1\t2390\t192.0.2.1\tGET\td111.cloudfront.net\t/a\t000\t-\tcurl/8\t-\texample.org\tHTTP/2.0", "no-status"},
	{"CloudFront, too few fields", "cloudfront", "2025-10-10\t13:55:36\tFRA50-C1\t2390", "other-text"},

	// IIS: https://learn.microsoft.com/windows/win32/http/w3c-logging
	{"IIS", "iis", `2025-10-10 13:55:36 198.51.100.2 GET /default.aspx a=1&b=%20 443 - 192.0.2.1 Mozilla/5.0+(Windows+NT+10.0) - 200 0 0 46`, "GET /default.aspx?a=1&b=%20"},
	{"IIS, no query", "iis", `2025-10-10 13:55:36 198.51.100.2 GET / - 80 DOMAIN\user 192.0.2.1 - - 401 0 0 46`, "GET / [401]"},
	{"IIS, UTF-8", "iis", `2025-10-10 13:55:36 198.51.100.2 GET /café - 80 - 192.0.2.1 - - 200 0 0 46`, "GET /caf%C3%A9"},
	{"IIS, a blank or a plus", "iis", `2025-10-10 13:55:36 198.51.100.2 GET /a+b.pdf - 80 - 192.0.2.1 - - 200 0 0 46`, "lost-bytes"},
	{"IIS, a user with a blank", "iis", `2025-10-10 13:55:36 198.51.100.2 GET / - 80 JOE BLOGGS 192.0.2.1 - - 200 0 0 46`, "other-text"},
	{"IIS, directive", "iis", `#Date: 2025-10-10 13:55:36`, "directive"},

	// Heroku: https://devcenter.heroku.com/articles/http-routing
	{"Heroku", "heroku", `2025-10-10T13:55:36.795479+00:00 heroku[router]: at=info method=GET path="/a?b=c" host=example.org request_id=6d7bc072 fwd="192.0.2.1" dyno=web.1 connect=0ms service=26ms status=200 bytes=18 protocol=https`, "GET /a?b=c"},
	{"Heroku, path without quotes", "heroku", `2025-10-10T13:55:36.795479+00:00 heroku[router]: at=info method=GET path=/a host=example.org dyno=web.1 status=304 bytes=0`, "GET /a [2xx 304]"},
	{"Heroku, an error of the router", "heroku", `2025-10-10T13:55:36.795479+00:00 heroku[router]: at=error code=H12 desc="Request timeout" method=GET path="/a" host=example.org dyno=web.1 status=503 bytes=0`, "GET /a"},
	{"Heroku by a log drain", "heroku", `<158>1 2025-10-10T13:55:36.795479+00:00 host heroku router - at=info method=GET path="/a" host=example.org status=200 bytes=0`, "GET /a"},
	{"Heroku, a dyno", "heroku", `2025-10-10T13:55:36.795479+00:00 app[web.1]: Completed 200 OK in 93ms`, "other-program"},
	{"Heroku, its own", "heroku", `2025-10-10T13:55:36.795479+00:00 heroku[web.1]: State changed from starting to up`, "other-program"},
}

// convertLine says what is made of a line, as publicLines have it.
func convertLine(t *testing.T, format, line string) (made string, entry load.Entry) {
	t.Helper()
	f, err := named(format)
	if err != nil {
		t.Fatal(err)
	}
	parse := f.open()
	if header, ok := headers[format]; ok {
		_, _, _, _ = replayable(parse, []byte(header))
	}
	r, left, _, err := replayable(parse, []byte(line))
	if (err != nil) != left.odd() {
		t.Errorf("left out for %q with error %v", left, err)
	}
	if left != "" {
		return string(left), entry
	}
	if at := time.Unix(0, r.at).UTC().Truncate(time.Second); !at.Equal(moment) {
		t.Errorf("logged at %s, want %s", at, moment)
	}
	entry = load.Entry{Method: r.method, Path: string(r.path), Status: accepted(r.status)}
	made = entry.Method + " " + entry.Path
	if len(entry.Status) > 0 {
		made += strings.Replace(fmt.Sprintf(" %d", entry.Status), strings.Trim(fmt.Sprint(load.Right()), "[]"), "2xx", 1)
	}
	return made, entry
}

func TestLines(t *testing.T) {
	for _, c := range publicLines {
		t.Run(c.kind, func(t *testing.T) {
			if c.want == string(TooLong) { // is told by the reading of lines, not by the format
				log, err := Read(strings.NewReader(Formats()[0].Example+"\n"+c.line+"\n"), Options{Format: c.format})
				if err != nil {
					t.Fatal(err)
				}
				defer log.Close()
				if want := []Count{{TooLong, 1, 2}}; !slices.Equal(log.LeftOut, want) {
					t.Errorf("left out %v, want %v", log.LeftOut, want)
				}
				return
			}
			got, entry := convertLine(t, c.format, c.line)
			if got != c.want {
				t.Fatalf("made %q, want %q", got, c.want)
			}
			if entry.Method == "" {
				return
			}
			var out bytes.Buffer
			if err := entry.Write(&out); err != nil {
				t.Fatal(err)
			}
			if _, err := load.NewReader(&out).Next(); err != nil {
				t.Errorf("the reader of traffic refuses it: %v", err)
			}
		})
	}
}

// A log of one kind of line is taken for what it is, and for nothing else.
func TestDetection(t *testing.T) {
	for _, c := range publicLines {
		if strings.ContainsRune(c.want, ' ') {
			t.Run(c.kind, func(t *testing.T) {
				log, err := Read(strings.NewReader(headers[c.format]+"\n"+c.line+"\n"), Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer log.Close()
				if log.Format != c.format || !log.Detected || log.Requests != 1 {
					t.Errorf("found %d requests of %s (detected: %v), want 1 of %s", log.Requests, log.Format, log.Detected, c.format)
				}
			})
		}
	}
	for _, f := range Formats() {
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			log, err := Read(strings.NewReader(f.Example), Options{Format: name})
			if err != nil {
				t.Fatalf("the example of %s: %v", name, err)
			}
			defer log.Close()
			if log.Requests != 1 || log.Format != name {
				t.Errorf("the example of %s gives %d requests of %s", name, log.Requests, log.Format)
			}
		}
	}
}
