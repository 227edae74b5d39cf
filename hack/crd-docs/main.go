package main

import (
	"fmt"
	"os"
	"path/filepath"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := write("../.."); err != nil {
		fmt.Fprintln(os.Stderr, "crd-docs:", err)
		os.Exit(1)
	}
}

func write(root string) error {
	text, err := os.ReadFile(filepath.Join(root, "config/crd/bases/downstream.driveshare.org_downstreamnodes.yaml"))
	if err != nil {
		return err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		return fmt.Errorf("read the definition: %w", err)
	}
	return os.WriteFile(filepath.Join(root, "docs/crd.md"), render(&crd), 0o666)
}
