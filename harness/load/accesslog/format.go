package accesslog

import (
	"slices"

	"bitvault.dev/rollproof/harness/words"
)

// Format is a kind of access log.
type Format struct {
	Name    string
	Aliases []string
	About   string // what writes it, in lines of up to 110 characters
	Example string // lines of it, the last of which is a request
	open    func() parser
}

// parser takes one line apart. A reason says that the line is of the format but holds no request. An error says that the line is not of
// the format, and what was missed.
type parser func(line []byte) (logged, Reason, error)

// stateless is a format whose lines stand for themselves.
func stateless(p parser) func() parser { return func() parser { return p } }

// Auto has the format detected.
const Auto = "auto"

// Formats lists the formats that Read knows.
func Formats() []Format {
	return []Format{
		{
			Name:    "combined",
			Aliases: []string{"common", "nginx", "apache", "ingress-nginx"},
			About: "Common Log Format and what is built on it: Apache (common, combined, vhost_combined), nginx,\n" +
				"ingress-nginx, Traefik's common, Envoy and Istio as text, Tomcat, Jetty, gunicorn, Varnish, lighttpd, S3",
			Example: `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 612`,
			open:    stateless(parseCombined),
		},
		jsonFormat("traefik-json", "Traefik with format: json", traefikKeys,
			`{"StartUTC":"2025-10-10T13:55:36Z","RequestMethod":"GET","RequestPath":"/","DownstreamStatus":200}`),
		jsonFormat("caddy-json", "Caddy's access log", caddyKeys,
			`{"ts":1760104536.5,"request":{"method":"GET","uri":"/"},"status":200}`),
		jsonFormat("nginx-json", "nginx with escape=json and the variables' own names as keys: request, or request_method and\n"+
			"request_uri; status; time_iso8601, time_local or msec", nginxKeys,
			`{"time_iso8601":"2025-10-10T13:55:36+00:00","request":"GET / HTTP/1.1","status":"200"}`),
		jsonFormat("envoy-json", "Envoy and Istio with encoding JSON", envoyKeys,
			`{"start_time":"2025-10-10T13:55:36.120Z","method":"GET","path":"/","response_code":200}`),
		{
			Name:    "haproxy",
			About:   "HAProxy's option httplog and httpslog",
			Example: `192.0.2.1:33317 [10/Oct/2025:13:55:36.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "GET / HTTP/1.1"`,
			open:    stateless(parseHAProxy),
		},
		{
			Name:    "aws-elb",
			Aliases: []string{"alb"},
			About:   "AWS Application and Classic Load Balancer",
			Example: `http 2025-10-10T13:55:36.186641Z app/lb/50dc6c495c0c9188 192.0.2.1:2817 192.0.2.2:80 0.000 0.001 0.000 200 200 34 366 ` +
				`"GET http://example.org:80/ HTTP/1.1" "curl/8"`,
			open: stateless(parseELB),
		},
		{
			Name:    "cloudfront",
			About:   "AWS CloudFront standard log, with its #Fields line",
			Example: "#Fields: date time cs-method cs-uri-stem sc-status cs-uri-query x-edge-location\n2025-10-10\t13:55:36\tGET\t/\t200\t-\tFRA1",
			open:    func() parser { return (&w3c{cloudFront: true}).parse },
		},
		{
			Name:    "iis",
			Aliases: []string{"w3c"},
			About:   "IIS: W3C extended, with its #Fields line",
			Example: "#Fields: date time cs-method cs-uri-stem cs-uri-query sc-status\n2025-10-10 13:55:36 GET / - 200",
			open:    func() parser { return (&w3c{}).parse },
		},
		{
			Name:    "heroku",
			About:   "Heroku's router; lines of dynos are left out",
			Example: `2025-10-10T13:55:36.120000+00:00 heroku[router]: at=info method=GET path="/" host=example.org status=200 bytes=612`,
			open:    stateless(parseHeroku),
		},
	}
}

// FormatNames lists every name that --from takes, aliases included.
func FormatNames() []string {
	names := []string{Auto}
	for _, f := range Formats() {
		names = append(append(names, f.Name), f.Aliases...)
	}
	return names
}

// named gives the format of a name, nil where it is to be detected.
func named(name string) (*Format, error) {
	if name == "" || name == Auto {
		return nil, nil
	}
	for _, f := range Formats() {
		if f.Name == name || slices.Contains(f.Aliases, name) {
			return &f, nil
		}
	}
	return nil, words.Unknown("log format", name, FormatNames())
}
