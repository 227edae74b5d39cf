package controlplane

import (
	"fmt"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// ReadNode reads a manifest of a DownstreamNode and gives it the defaults that
// an API server would, for tests that need none.
func ReadNode(manifest []byte) (*v1alpha1.DownstreamNode, error) {
	var object map[string]any
	if err := yaml.UnmarshalStrict(manifest, &object); err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	structural, err := structuralSchema()
	if err != nil {
		return nil, err
	}
	defaulting.Default(object, structural)
	node := &v1alpha1.DownstreamNode{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object, node, true); err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	return node, nil
}

func structuralSchema() (*schema.Structural, error) {
	text, err := os.ReadFile(Path("config/crd/bases/downstream.driveshare.org_downstreamnodes.yaml"))
	if err != nil {
		return nil, err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return nil, fmt.Errorf("read the CRD: %w", err)
	}
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &internal, nil); err != nil {
		return nil, fmt.Errorf("convert the CRD's schema: %w", err)
	}
	structural, err := schema.NewStructural(&internal)
	if err != nil {
		return nil, fmt.Errorf("read the CRD's schema: %w", err)
	}
	return structural, nil
}
