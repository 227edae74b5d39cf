package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/driveshare/downstream-node/hack/archive"
)

// sbom lists the modules that the linker put into the programs of an archive. The Go
// toolchain records them in each program.
func (o options) sbom(p platform, programs []archive.File) ([]byte, error) {
	bom := cdx.NewBOM()
	release := o.application(name, "")
	release.Name = fmt.Sprintf("%s_%s_%v", name, o.version, p)
	bom.Metadata = &cdx.Metadata{Timestamp: o.date.Format("2006-01-02T15:04:05Z"), Component: &release}
	components := map[string]cdx.Component{}
	contains := cdx.Dependency{Ref: release.BOMRef, Dependencies: &[]string{}}
	dependencies := []cdx.Dependency{}
	for _, program := range programs {
		info, err := buildinfo.Read(bytes.NewReader(program.Content))
		if err != nil {
			return nil, fmt.Errorf("read the modules of %s: %w", program.Name, err)
		}
		file := o.application(program.Name, strings.TrimPrefix(info.Path, info.Main.Path+"/"))
		file.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sha256.Sum256(program.Content))}}
		components[file.BOMRef] = file
		*contains.Dependencies = append(*contains.Dependencies, file.BOMRef)
		of := []string{}
		for _, module := range modules(info) {
			components[module.BOMRef] = module
			of = append(of, module.BOMRef)
		}
		dependencies = append(dependencies, cdx.Dependency{Ref: file.BOMRef, Dependencies: &of})
	}
	all := []cdx.Component{}
	for _, c := range components {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b cdx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	dependencies = append([]cdx.Dependency{contains}, dependencies...)
	bom.Components, bom.Dependencies = &all, &dependencies
	var text bytes.Buffer
	// Many tools cannot read version 1.7 yet.
	err := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return text.Bytes(), err
}

// application describes the release, or one of its programs by its path in the module.
func (o options) application(title, path string) cdx.Component {
	url := purl("github.com/driveshare/downstream-node", "v"+o.version)
	if path != "" {
		url += "#" + path
	}
	return cdx.Component{
		Type: cdx.ComponentTypeApplication, BOMRef: url, Name: title, Version: o.version, PackageURL: url,
		Licenses: &cdx.Licenses{{License: &cdx.License{ID: "MIT"}}},
	}
}

// modules returns the modules of a program, and Go's standard library.
func modules(info *debug.BuildInfo) (list []cdx.Component) {
	version := strings.TrimPrefix(info.GoVersion, "go")
	list = append(list, library("stdlib", version, ""))
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		list = append(list, library(m.Path, m.Version, m.Sum))
	}
	return list
}

// library describes a module. sum is its hash in go.sum: "h1:" and a SHA-256 in base64.
func library(path, version, sum string) cdx.Component {
	c := cdx.Component{
		Type: cdx.ComponentTypeLibrary, BOMRef: purl(path, version), Name: path, Version: version, PackageURL: purl(path, version),
		Scope: cdx.ScopeRequired,
	}
	if hash, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && len(hash) == sha256.Size {
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(hash)}}
	}
	return c
}

// purl returns the package URL of a Go module.
func purl(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}
