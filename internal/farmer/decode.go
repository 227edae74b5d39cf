package farmer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// elements yields the items of the array that the JSON object in r holds
// under name, decoding one at a time, so that memory is in proportion to the
// largest item. Other members are passed over. An error ends the sequence;
// the items before it are good.
func elements[T any](r io.Reader, name string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		dec := json.NewDecoder(r)
		if err := seekArray(dec, name); err != nil {
			yield(zero, err)
			return
		}
		for dec.More() {
			var item T
			if err := dec.Decode(&item); err != nil {
				yield(zero, fmt.Errorf("item of %q: %w", name, whole(err)))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
		// Without the closing bracket the answer was cut off between items.
		if err := expect(dec, json.Delim(']')); err != nil {
			yield(zero, fmt.Errorf("end of %q: %w", name, err))
		}
	}
}

// seekArray reads up to and including the opening bracket of the array.
func seekArray(dec *json.Decoder, name string) error {
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return whole(err)
		}
		if key == name {
			return expect(dec, json.Delim('['))
		}
		var passed json.RawMessage
		if err := dec.Decode(&passed); err != nil {
			return fmt.Errorf("member %q: %w", key, whole(err))
		}
	}
	return fmt.Errorf("no member %q", name)
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err != nil {
		return whole(err)
	}
	if got != want {
		return fmt.Errorf("%v where %v should be", got, want)
	}
	return nil
}

// whole turns the end of input inside an object into an error that says so.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decodeChunks reads the answer of /chunk.
func decodeChunks(r io.Reader, received time.Time) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		for chunk, err := range elements[Chunk](r, "chunks") {
			if err == nil {
				err = chunk.check()
			}
			if err != nil {
				yield(Chunk{}, err)
				return
			}
			chunk.Received = received
			if !yield(chunk, nil) {
				return
			}
		}
	}
}

// decodeChallenges reads the answer of /challenge for many contracts.
func decodeChallenges(r io.Reader, received time.Time) ([]Challenge, error) {
	var challenges []Challenge
	for challenge, err := range elements[Challenge](r, "challenges") {
		if err != nil {
			return nil, err
		}
		challenge.Received = received
		challenges = append(challenges, challenge)
	}
	return challenges, nil
}

// decodeReport reads the answer of /answer to a batch of proofs.
func decodeReport(r io.Reader) ([]Verdict, error) {
	var report []Verdict
	for verdict, err := range elements[Verdict](r, "report") {
		if err != nil {
			return nil, err
		}
		report = append(report, verdict)
	}
	return report, nil
}

// decodeInto reads an answer that is one small object.
func decodeInto(r io.Reader, v any) error {
	return whole(json.NewDecoder(r).Decode(v))
}
