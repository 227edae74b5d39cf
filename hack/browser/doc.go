// Package browser tests the page as people meet it: in Chromium, with a
// pointer, a keyboard, a small screen, a dark one, and without scripts.
//
// The tests are built with the tag browser and run by `make test-browser`,
// which fetches what they need. Whatever a test looks at, it fails where the
// page asks another host for anything, or where the browser complains.
package browser
