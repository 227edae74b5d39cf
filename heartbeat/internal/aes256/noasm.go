//go:build !amd64 || purego

package aes256

const noKernel = "aes256: this build has no kernels"

func expandKeys(*[15][16]byte, *[32]byte) { panic(noKernel) }

func keyStreamVAES(*[15][16]byte, *byte, int, int, uint64) { panic(noKernel) }

func keyStreamNI(*[15][16]byte, *byte, int, uint64) { panic(noKernel) }

func drawVAES(*[15][16]byte, *[16]byte, int, *[16][2]*byte) { panic(noKernel) }

func drawNI(*[15][16]byte, *[16]byte, int, *[8][2]*byte) { panic(noKernel) }
