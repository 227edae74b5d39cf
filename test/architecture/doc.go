// Package architecture tests the rules on which package may import which.
package architecture
