// Package page is the node's face to everybody: who farms, where, how much, how
// reliably, and how that went over time.
//
// Every page is whole without scripts: tables, plots and the map come drawn
// from the server. The scripts in assets make it pleasanter: the map can be
// moved, the plots read with a pointer, and what changes is fetched again and
// written over what is there.
//
// Libraries, fonts and the map's outline lie in libraries, as hack/page-libraries
// fetched them, each with its licence. Building the binary needs nothing else.
//
// The invariants: a page asks no other host for anything, and its
// Content-Security-Policy allows none; it tells nothing that the status API
// does not, so neither a token nor an IP address; and no request does work that
// grows with the number of farmers, since what is over all of them is read once
// every few seconds for all visitors.
package page
