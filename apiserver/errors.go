package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/driveshare/downstream-node/heartbeat/wirejson"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/sjcx"
	"github.com/driveshare/downstream-node/internal/store"
)

// apiError is an error that the API sends to the farmer.
type apiError struct {
	status     int
	message    string
	retryAfter time.Duration
}

func (e *apiError) Error() string { return e.message }

func badRequest(message string) *apiError {
	return &apiError{status: http.StatusBadRequest, message: message}
}

func notFound(message string) *apiError {
	return &apiError{status: http.StatusNotFound, message: message}
}

// unavailable returns a 503. The farmer repeats the request after retryAfter.
func unavailable(message string) *apiError {
	return &apiError{status: http.StatusServiceUnavailable, message: message, retryAfter: retryAfter}
}

// wrongShape returns the error for a body that is JSON, but not as want describes.
func wrongShape(want string) *apiError {
	return badRequest("request body is JSON of another form, it must be " + want)
}

// isWrongShape reports whether a body could not be read although it is JSON.
func isWrongShape(err error) bool {
	if e, ok := errors.AsType[*wirejson.Error](err); ok {
		return e.WrongShape()
	}
	_, wrongType := errors.AsType[*json.UnmarshalTypeError](err)
	return wrongType
}

// retryAfter is how long a farmer should wait after a 503. Deployed farmers always
// wait 3 s.
const retryAfter = 3 * time.Second

var (
	errUnknownToken  = badRequest("token not found")
	errUnknownFarmer = notFound("farmer not found")
	errUnknownFile   = notFound("file not found")
	errBusy          = unavailable("the node is busy, ask again later")
	errManyRequests  = unavailable("too many requests at once from this IP address, ask again later")
	errSlowBody      = unavailable("the request body arrives too slowly, send it again")
	errTooLarge      = &apiError{status: http.StatusRequestEntityTooLarge, message: "request body is too large"}
	errInflates      = &apiError{status: http.StatusRequestEntityTooLarge, message: "request body becomes too large when it is decompressed; send it uncompressed"}
	errCrossSite     = &apiError{status: http.StatusForbidden, message: "a page of another site must not send this request; open the node's own page, or use a farmer"}
	errUndecided     = unavailable("the node cannot decide now, ask again later")
	errInternal      = &apiError{status: http.StatusInternalServerError, message: "internal error"}

	// This text must not change. Deployed farmers request a new token if they
	// receive it.
	errNonexistentToken = notFound("Nonexistent token.")
)

// errorTable maps the errors of other packages to responses. The first match counts.
// If an error matches no row, the response is a 500 without the error's text. The
// log contains the text.
var errorTable = []struct {
	is       error
	response *apiError
}{
	{store.ErrLowBalance, badRequest("the balance of the address is too low for a new token")},
	{store.ErrNotWhitelisted, badRequest("address is not on the whitelist")},
	{store.ErrNotFound, errUnknownToken},
	{sjcx.ErrAddress, badRequest("address is not a valid SJCX address")},
	{sjcx.ErrSignature, badRequest("signature does not prove ownership of the address")},
	{node.ErrTokenMalformed, errUnknownToken},
	{queue.ErrFull, errBusy},
	{redisdb.ErrUnavailable, errUndecided},
	{store.ErrUnavailable, errUndecided},
	{context.DeadlineExceeded, errUndecided},
	{context.Canceled, unavailable("the request was given up")},
}

// withLimit adds the limit to the error for an IP address that has too many tokens. It
// returns every other error unchanged.
func (s *Server) withLimit(err error) error {
	if errors.Is(err, store.ErrTooManyTokens) {
		return badRequest(fmt.Sprintf("too many tokens for this IP address, the limit is %d", s.limits.TokensPerIP))
	}
	return err
}

// classify returns the response to an error.
func classify(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge
	}
	for _, row := range errorTable {
		if errors.Is(err, row.is) {
			return row.response
		}
	}
	return errInternal
}
