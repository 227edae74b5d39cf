// Command openapi checks HTTP requests and responses against the OpenAPI
// description of the API. The tests of package apiserver run it, so that the
// product's module does not depend on kin-openapi.
//
// It reads pairs of a request and its response from standard input, in HTTP/1.1
// format. For each pair it writes one line with a quoted string. The string is ""
// if the pair matches the description, and "undescribed" if the description has no
// such operation. Otherwise it describes the problem.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/driveshare/downstream-node/apiserver/openapi"
)

func main() {
	if err := checkAll(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func checkAll(in io.Reader, out io.Writer) error {
	router, err := newRouter()
	if err != nil {
		return err
	}
	for pairs := bufio.NewReader(in); ; {
		problem, err := check(router, pairs)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, strconv.Quote(problem)); err != nil {
			return err
		}
	}
}

func newRouter() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.JSON())
	if err != nil {
		return nil, fmt.Errorf("read the description: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("validate the description: %w", err)
	}
	return gorillamux.NewRouter(doc)
}

// check reads a pair and returns its problem. If there is no further pair, the
// error is io.EOF.
func check(router routers.Router, pairs *bufio.Reader) (problem string, err error) {
	req, err := http.ReadRequest(pairs)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return "", fmt.Errorf("read the request: %w", err)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	resp, err := http.ReadResponse(pairs, req)
	if err != nil {
		return "", fmt.Errorf("read the response: %w", err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("read the response: %w", err)
	}
	route, vars, err := router.FindRoute(req)
	switch {
	case errors.Is(err, routers.ErrPathNotFound), errors.Is(err, routers.ErrMethodNotAllowed):
		return "undescribed", nil
	case err != nil:
		return err.Error(), nil
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true}
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: vars, Route: route, Options: options}
	if resp.StatusCode < 300 {
		if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
			return fmt.Sprintf("the request succeeded, but is not as described: %v", err), nil
		}
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header,
		Body: io.NopCloser(bytes.NewReader(content)), Options: options,
	})
	if err != nil {
		return fmt.Sprintf("the response is not as described: %v", err), nil
	}
	return "", nil
}
