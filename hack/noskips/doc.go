// Command noskips reads what `go test -json` says and prints it as go test
// does by itself: a line for each package, and all that failed tests said. It
// fails where a test failed, and also where one was skipped whose name is not
// among the arguments: whoever runs the tests to be sure of something must not
// be told "ok" for what was not looked at.
//
//	go test -json ./... | go run ./hack/noskips TestThatMayBeSkipped
package main
