// Package controllers is the operator: it makes what runs on a cluster equal to
// what DownstreamNodes ask for.
package controllers
