// Package report turns measurements into figures, a table of them, and the
// section of docs/benchmarks.md that belongs to the program that measured.
//
// A figure is the median of repetitions, and shows the least and the most of
// them. Where something bounds it on the same machine, that was measured in the
// same run and stands beside it.
package report
