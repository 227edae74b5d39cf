//go:build !faultpoints

package workers

// faultPoint is nothing, except in the program that the fault tests build.
func faultPoint(string) {}
