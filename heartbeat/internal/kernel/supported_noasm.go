//go:build !amd64 || purego

package kernel

func supported(k Kernel) bool { return k == Portable }
