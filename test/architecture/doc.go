// Package architecture holds the tests of the rules on which package may import
// which.
package architecture
