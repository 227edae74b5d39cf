//go:build !amd64 || purego

package sha256x

const noKernel = "sha256x: this build has no kernels"

func blocks(*states, *[Lanes]*byte, int) { panic(noKernel) }

func sumU32(*[Lanes][Size]byte, *[Lanes]uint32) { panic(noKernel) }

func digests(*[Lanes][Size]byte, *states) { panic(noKernel) }
