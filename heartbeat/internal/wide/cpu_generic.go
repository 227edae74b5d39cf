//go:build !amd64 || purego

package wide

const haveIFMA = false

const noKernel = "wide: this processor has no such kernel"

func pack(*lanes, *byte, uint64, uint8) { panic(noKernel) }

func mulAdd(*columns, *lanes, *byte, uint64, uint8) { panic(noKernel) }

func reduce(*byte, uint64, uint8, *columns, *modulus) { panic(noKernel) }
