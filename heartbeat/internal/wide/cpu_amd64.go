//go:build !purego

package wide

import "golang.org/x/sys/cpu"

// BW and DQ have the shuffle of bytes and the masks of eight lanes.
var haveIFMA = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512IFMA
