package sha256x

// The names of what the functions of this package can run on.
const (
	avx512   = "avx512"
	portable = "portable"
)

// tuned says whether the kernels are used.
var tuned = haveAVX512

// Kernels names what this processor can run on, the choice of this package
// first.
func Kernels() []string {
	if haveAVX512 {
		return []string{avx512, portable}
	}
	return []string{portable}
}

// Use makes the package run on one of Kernels until restore is called. It is
// for tests and benchmarks, and must not be called while anything is hashed.
func Use(kernel string) (restore func()) {
	before := tuned
	tuned = haveAVX512 && kernel == avx512
	return func() { tuned = before }
}
