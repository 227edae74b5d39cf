// Package disk measures the free space of a disk, on every system that the programs run
// on.
package disk
