package wide

// The names of what the functions of this package can run on.
const (
	ifma     = "ifma"
	portable = "portable"
)

// tuned says whether the kernels are used.
var tuned = haveIFMA

// Kernels names what this processor can run on, the choice of this package
// first.
func Kernels() []string {
	if haveIFMA {
		return []string{ifma, portable}
	}
	return []string{portable}
}

// Use makes the package run on one of Kernels until restore is called. It is
// for tests and benchmarks, and must not be called while anything is computed.
func Use(kernel string) (restore func()) {
	before := tuned
	tuned = haveIFMA && kernel == ifma
	return func() { tuned = before }
}
