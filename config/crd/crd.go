// Package crd holds the CustomResourceDefinition of the DownstreamNode. The definition
// is generated from api/v1.
package crd

import _ "embed"

// DownstreamNode is the definition as YAML.
//
//go:embed bases/downstream.driveshare.org_downstreamnodes.yaml
var DownstreamNode []byte
