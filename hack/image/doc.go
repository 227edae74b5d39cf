// Command image makes a container image of the static binaries, as an OCI archive
// that containerd, podman, skopeo and newer dockers read, without a registry, a
// daemon or root:
//
//	go run ./hack/image -name localhost/downstream-node:dev -output dist/image.tar
//
// The image is the one of the Dockerfile's last stage. The two are kept alike by
// a test.
//
// The invariant: equal inputs make an equal archive, byte for byte, wherever
// and whenever it is made.
package main
