//go:build !amd64 || purego

package wide

const noKernel = "wide: this build has no kernels"

func pack(*lanes, *byte, uint64, uint8) { panic(noKernel) }

func mulAdd(*columns, *lanes, *byte, uint64, uint8) { panic(noKernel) }

func reduce(*byte, uint64, uint8, *columns, *modulus) { panic(noKernel) }
