package controllers

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/config/crd"
)

// defaultsSchema is the part of a CRD's schema that sets defaults.
type defaultsSchema struct {
	Default    any                        `json:"default"`
	Properties map[string]*defaultsSchema `json:"properties"`
	Items      *defaultsSchema            `json:"items"`
}

// specSchema reads the schema of a spec from the CRD of this operator's version.
var specSchema = sync.OnceValue(func() *defaultsSchema {
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema defaultsSchema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(crd.DownstreamNode, &definition); err != nil {
		panic(fmt.Sprintf("controllers: read the embedded CRD: %v", err)) // impossible: it is generated
	}
	return definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
})

// setDefaults sets the defaults of this operator's CRD in a spec. The CRD on the cluster
// may be older, and then the API server has not set the defaults of newer fields.
func setDefaults(spec *v1.DownstreamNodeSpec) error {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(spec)
	if err != nil {
		return fmt.Errorf("convert the spec: %w", err)
	}
	specSchema().fill(object)
	*spec = v1.DownstreamNodeSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, spec); err != nil {
		return fmt.Errorf("set the defaults of the spec: %w", err)
	}
	return nil
}

// fill sets the defaults of absent fields. An absent object with a default becomes an empty
// object with the defaults of its own fields: in the Go type, an object that the user
// has left empty is absent too.
func (s *defaultsSchema) fill(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, property := range s.Properties {
			if _, set := value[name]; !set && property.Default != nil {
				value[name] = runtime.DeepCopyJSONValue(property.Default)
				if _, isObject := property.Default.(map[string]any); isObject {
					value[name] = map[string]any{}
				}
			}
			property.fill(value[name])
		}
	case []any:
		for _, item := range value {
			if s.Items != nil {
				s.Items.fill(item)
			}
		}
	}
}
