package main

import (
	"bytes"
	"os"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const definition = `
spec:
  group: example.org
  names: {kind: Thing, shortNames: [th]}
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        properties:
          spec:
            description: What it
              should be.
            required: [name]
            x-kubernetes-validations: [{rule: "true", message: spec.a and spec.b exclude each other}]
            properties:
              name: {type: string, description: "Its name, a|b."}
              size: {type: integer, minimum: 1, maximum: 9, default: 3, description: How big., x-kubernetes-validations: [{rule: "true", message: size must be odd}]}
              kind: {type: string, enum: [A, B], default: A, description: Which.}
              parts: {type: array, description: Its parts., items: {type: object, description: A part., properties: {id: {type: string, description: Which part.}}}}
          status: {description: What it is., properties: {}}
`

const page = "# The DownstreamNode\n\n" +
	"Every field of `example.org/v1`, kind `Thing`, short name `th`. Made by `hack/crd-docs`; edit the comments in `api/v1alpha1`.\n" +
	"On a cluster, `kubectl explain dn.spec --recursive` says the same.\n" +
	"\n## spec\n\nWhat it should be.\n" +
	"\n- spec.a and spec.b exclude each other\n" +
	"\n| field | type | default | meaning |\n|---|---|---|---|\n" +
	"| `kind` | `A`, `B` | `A` | Which. |\n" +
	"| `name` | string | required | Its name, a\\|b. |\n" +
	"| `parts` | list of object |  | Its parts. |\n" +
	"| `size` | 1 to 9 | `3` | How big. *Size must be odd.* |\n" +
	"\n## spec.parts[]\n\nA part.\n" +
	"\n| field | type | default | meaning |\n|---|---|---|---|\n" +
	"| `id` | string |  | Which part. |\n" +
	"\n## status\n\nWhat it is.\n" +
	"\n| field | type | default | meaning |\n|---|---|---|---|\n"

func TestRender(t *testing.T) {
	t.Parallel()
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal([]byte(definition), &crd); err != nil {
		t.Fatal(err)
	}
	if got := string(render(&crd)); got != page {
		t.Errorf("got\n%s\nwant\n%s", got, page)
	}
}

// TestFresh holds that the page in the tree is of the definition in the tree.
func TestFresh(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../config/crd/bases/downstream.driveshare.org_downstreamnodes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	if page, err := os.ReadFile("../../docs/crd.md"); err != nil || !bytes.Equal(page, render(&crd)) {
		t.Errorf("docs/crd.md is stale (%v): run make generate", err)
	}
}
