//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// supported reports whether this processor has every instruction of k.
func supported(k Kernel) bool {
	x := &cpu.X86
	switch k {
	case AESNI:
		return x.HasAES && x.HasSSSE3
	case VAES:
		return supported(AESNI) && x.HasAVX512VAES && x.HasAVX512F && x.HasAVX512BW && x.HasBMI2
	case AVX512:
		return x.HasAVX512F && x.HasAVX512BW // BW has the byte shuffle
	case IFMA:
		// BW has the byte shuffle. DQ has the masks of eight lanes.
		return x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512IFMA
	}
	return true
}
