package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// tlsFlags are what attack was told of the certificates of https targets.
type tlsFlags struct {
	insecure         bool
	cacert           string
	certificate, key string
}

func (f *tlsFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&f.insecure, "insecure", false, "accept any TLS certificate of a target, also one that nobody vouches for")
	flags.StringVar(&f.cacert, "cacert", "", "PEM file of the certificate authorities to trust, in place of those of this machine")
	flags.StringVar(&f.certificate, "cert", "", "PEM file of the client certificate that the target asks for (mutual TLS)")
	flags.StringVar(&f.key, "key", "", "PEM file of the private key that belongs to --cert (default: the file of --cert holds both)")
}

// config is nil where the flags say nothing. A flag that would be ignored is an error.
func (f *tlsFlags) config(targets []string) (*tls.Config, error) {
	if *f == (tlsFlags{}) {
		return nil, nil
	}
	https := func(target string) bool { return strings.HasPrefix(strings.ToLower(target), "https:") }
	switch {
	case !slices.ContainsFunc(targets, https):
		return nil, errors.New("--insecure, --cacert, --cert and --key are for https, and no target begins with https://")
	case f.insecure && f.cacert != "":
		return nil, errors.New("--insecure accepts any certificate, so --cacert would be ignored: leave one out")
	case f.key != "" && f.certificate == "":
		return nil, errors.New("--key needs the certificate that it belongs to: say --cert FILE")
	}
	config := &tls.Config{InsecureSkipVerify: f.insecure} // what --insecure asks for
	if f.cacert != "" {
		pem, err := os.ReadFile(f.cacert)
		if err != nil {
			return nil, fmt.Errorf("--cacert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cacert %s: it holds no certificate in PEM form", f.cacert)
		}
	}
	if f.certificate != "" {
		pair, err := tls.LoadX509KeyPair(f.certificate, f.keyFile())
		if err != nil {
			return nil, fmt.Errorf("--cert %s, --key %s: %w", f.certificate, f.keyFile(), err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func (f *tlsFlags) keyFile() string {
	if f.key == "" {
		return f.certificate
	}
	return f.key
}
