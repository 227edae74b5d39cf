package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ClientTLS is TLS for connections to servers. It is part of the section that names
// the servers.
type ClientTLS struct {
	// Whether connections to the servers use TLS. The files below imply it.
	TLS bool `yaml:"tls"`
	// The PEM file with the certificates that verify the servers. Without it the
	// certificates of the system are used.
	CAFile string `yaml:"caFile"`
	// The PEM file with the certificate with which the node identifies itself, if the
	// servers require one.
	CertFile string `yaml:"certFile"`
	// The PEM file with the private key of that certificate.
	KeyFile string `yaml:"keyFile"`
}

// Validate implements [Validator].
func (c ClientTLS) Validate(p *Problems) {
	if (c.CertFile == "") != (c.KeyFile == "") {
		p.Add("certFile", "needs %s, and the other way round", p.Key("keyFile"))
	}
}

// Load reads the files. It returns nil if connections do not use TLS.
func (c ClientTLS) Load() (*tls.Config, error) {
	var contents [3][]byte
	enabled := c.TLS
	for i, file := range []struct{ key, path string }{{"caFile", c.CAFile}, {"certFile", c.CertFile}, {"keyFile", c.KeyFile}} {
		if file.path == "" {
			continue
		}
		enabled = true
		text, err := readFile(file.path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.key, err)
		}
		contents[i] = text
	}
	if !enabled {
		return nil, nil
	}
	return NewClientTLS(contents[0], contents[1], contents[2])
}

// NewClientTLS returns TLS from the contents of the files of [ClientTLS]. Without ca,
// the certificates of the system verify the servers. Without cert and key, the client
// does not identify itself.
func NewClientTLS(ca, cert, key []byte) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != nil {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(TrimBOM(ca)) {
			return nil, errors.New("caFile: there is no PEM certificate in the file")
		}
	}
	if cert != nil || key != nil {
		pair, err := tls.X509KeyPair(TrimBOM(cert), TrimBOM(key))
		if err != nil {
			return nil, fmt.Errorf("certFile and keyFile: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}
