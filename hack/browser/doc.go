// Package browser tests the page in Chromium: with a pointer, with a keyboard, on a
// small screen, in dark colours, and without scripts.
//
// The tests need the build tag browser. `make test-browser` downloads Chromium and
// the other files that the tests need, and runs the tests. Every test also fails if
// the page sends a request to another host, or if the browser reports an error or a
// warning.
package browser
