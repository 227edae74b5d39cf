package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/sjcx"
	"github.com/driveshare/downstream-node/internal/store"
)

// apiError is an error whose message is written for the farmer.
type apiError struct {
	status     int
	message    string
	retryAfter time.Duration
}

func (e *apiError) Error() string { return e.message }

// badRequest is a parameter error.
func badRequest(message string) error {
	return &apiError{status: http.StatusBadRequest, message: message}
}

func notFound(message string) error {
	return &apiError{status: http.StatusNotFound, message: message}
}

// unavailable tells the farmer to ask again: the node could not decide.
func unavailable(message string) error {
	return &apiError{status: http.StatusServiceUnavailable, message: message, retryAfter: retryAfter}
}

// retryAfter is how long a farmer is asked to wait after a 503. Farmers in the
// field wait 3 s whatever it says.
const retryAfter = 3 * time.Second

var errUnknownToken = badRequest("token not found")

// errorTable says what a farmer is told of an error that another package
// returned. The first match counts; what matches nothing is a 500, and its
// text stays in the log.
var errorTable = []struct {
	is  error
	say *apiError
}{
	{store.ErrNotWhitelisted, &apiError{status: http.StatusBadRequest, message: "address is not on the whitelist, or its balance is too low"}},
	{store.ErrTooManyTokens, &apiError{status: http.StatusBadRequest, message: "too many tokens for this IP address"}},
	{store.ErrNotFound, &apiError{status: http.StatusBadRequest, message: "token not found"}},
	{sjcx.ErrAddress, &apiError{status: http.StatusBadRequest, message: "address is not a valid SJCX address"}},
	{sjcx.ErrSignature, &apiError{status: http.StatusBadRequest, message: "signature does not prove ownership of the address"}},
	{node.ErrTokenMalformed, &apiError{status: http.StatusBadRequest, message: "token not found"}},
	{queue.ErrFull, &apiError{status: http.StatusServiceUnavailable, message: "the node is busy, ask again later", retryAfter: retryAfter}},
	{redisdb.ErrUnavailable, &apiError{status: http.StatusServiceUnavailable, message: "the node cannot decide now, ask again later", retryAfter: retryAfter}},
	{store.ErrUnavailable, &apiError{status: http.StatusServiceUnavailable, message: "the node cannot decide now, ask again later", retryAfter: retryAfter}},
	{context.DeadlineExceeded, &apiError{status: http.StatusServiceUnavailable, message: "the node cannot decide now, ask again later", retryAfter: retryAfter}},
	{context.Canceled, &apiError{status: http.StatusServiceUnavailable, message: "the request was given up", retryAfter: retryAfter}},
}

// classify finds what to tell the farmer.
func classify(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &apiError{status: http.StatusRequestEntityTooLarge, message: "request body is too large"}
	}
	for _, row := range errorTable {
		if errors.Is(err, row.is) {
			return row.say
		}
	}
	return &apiError{status: http.StatusInternalServerError, message: "internal error"}
}

// writeError answers with the error's status and the one error body that the
// protocol knows.
func writeError(w http.ResponseWriter, e *apiError) {
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.retryAfter.Seconds())))
	}
	writeJSON(w, e.status, errorBody{Status: "error", Message: e.message})
}

type errorBody struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// writeRawJSON answers with what is JSON already.
func writeRawJSON(w http.ResponseWriter, status int, raw []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(raw) // a peer that went away needs no answer
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // a peer that went away needs no answer
}
