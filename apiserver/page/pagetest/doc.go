// Package pagetest has records for tests of the page: farmers in memory, the
// same ones at every run.
package pagetest
