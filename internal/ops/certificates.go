package ops

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/config"
)

// Certificates maps the use of a certificate, such as "api", to its PEM file. It
// exports when the certificates expire.
type Certificates map[string]string

var _ prometheus.Collector = Certificates{}

var expiryDesc = prometheus.NewDesc("downstream_certificate_expiry_timestamp_seconds",
	"Unix time at which a certificate in the file expires: that of the farmers' listener, or one with which the node identifies itself to the database or to Redis. Missing if there is no such file.",
	[]string{"certificate"}, nil)

// Describe sends the description of the metric.
func (c Certificates) Describe(ch chan<- *prometheus.Desc) { ch <- expiryDesc }

// Collect reads the files, so that it notices a renewed certificate. It omits a file
// that it cannot read, because a missing value is not zero.
func (c Certificates) Collect(ch chan<- prometheus.Metric) {
	for use, path := range c {
		if expiry := firstExpiry(path); !expiry.IsZero() {
			ch <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(expiry.Unix()), use)
		}
	}
}

// firstExpiry returns when the first certificate of a chain expires, because the whole
// chain is then useless. It returns the zero time if the file has no certificate.
func firstExpiry(path string) (first time.Time) {
	text, err := os.ReadFile(path)
	if err != nil {
		return first
	}
	for text = config.TrimBOM(text); ; {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return first
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			continue
		}
		if first.IsZero() || cert.NotAfter.Before(first) {
			first = cert.NotAfter
		}
	}
}
