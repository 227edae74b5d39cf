package farmer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Error is a node's answer that is not a success.
type Error struct {
	Op      string // what was asked for
	Status  int    // of HTTP
	Message string // may be empty
	// FromNode is set where the body is an error as the protocol has it, so
	// that it was the node that answered, and not something before it.
	FromNode bool
	// RetryAfter is how long the node asks to wait; 0 where it did not say.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %d %s", e.Op, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Temporary says whether the same request may succeed later.
func (e *Error) Temporary() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// Temporary says whether a request that failed with err is worth repeating:
// all that never got a whole answer are.
func Temporary(err error) bool {
	if answer, ok := errors.AsType[*Error](err); ok {
		return answer.Temporary()
	}
	return err != nil
}

// maxErrorBody is how much of an error's body is read.
const maxErrorBody = 64 << 10

// errorFrom reads an answer that is not a success.
func errorFrom(op string, resp *http.Response) *Error {
	e := &Error{
		Op:         op,
		Status:     resp.StatusCode,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return e // the status is known, and that is what counts
	}
	e.Message, e.FromNode = errorMessage(body)
	return e
}

// maxMessage is how much of a node's words is kept.
const maxMessage = 300

// errorMessage is the message of an error body or, where something between
// farmer and node answered in its place, the first line of that.
func errorMessage(body []byte) (message string, fromNode bool) {
	var said struct {
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	message = string(body)
	if json.Unmarshal(body, &said) == nil && said.Status == "error" {
		message, fromNode = said.Message, true
	}
	message, _, _ = strings.Cut(strings.TrimSpace(message), "\n")
	message = strings.ToValidUTF8(message, "\uFFFD")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "")
	}
	return message, fromNode
}

// retryAfter reads the header in either form that HTTP allows, 0 where it is
// missing or makes no sense.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// withoutURL says what failed without the address that was called: it holds
// the token, which belongs in no log.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}
