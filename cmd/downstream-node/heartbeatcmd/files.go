package heartbeatcmd

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/internal/config"
)

// standardInput is the path that means standard input.
const standardInput = "-"

// readInput reads a whole input file.
func readInput(cmd *cobra.Command, path string) ([]byte, error) {
	if path == standardInput {
		b, err := io.ReadAll(cmd.InOrStdin())
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return b, nil
	}
	b, err := os.ReadFile(path)
	return config.TrimBOM(b), err
}

// parseInput reads an input file and parses it.
func parseInput[B ~[]byte, T any](cmd *cobra.Command, path string, parse func(B) (T, error)) (parsed T, err error) {
	b, err := readInput(cmd, path)
	if err != nil {
		return parsed, err
	}
	if parsed, err = parse(b); err != nil {
		return parsed, fmt.Errorf("%s: %w", path, err)
	}
	return parsed, nil
}

// readState reads a state file, which is a JSON string: the binary state in base64.
func readState(cmd *cobra.Command, path string) ([]byte, error) {
	return parseInput(cmd, path, func(b []byte) (state []byte, err error) {
		var text *string
		if err = json.Unmarshal(b, &text); err == nil && text == nil {
			err = errors.New("null")
		}
		if err == nil {
			state, err = base64.StdEncoding.DecodeString(*text)
		}
		if err != nil {
			return nil, fmt.Errorf("not a state file, which is a JSON string of base64, as `heartbeat encode` writes it: %w", err)
		}
		return state, nil
	})
}

func writeState(path string, state []byte) error {
	return replaceFile(path, 0o600, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%q\n", base64.StdEncoding.EncodeToString(state))
		return err
	})
}

// replaceFile replaces a file atomically: after a failure the old file is unchanged.
// If the path is not a regular file but, for example, a pipe, replaceFile writes to it
// directly.
func replaceFile(path string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if present, err := os.Stat(path); err == nil && !present.Mode().IsRegular() {
		return writeInto(path, write)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	err = write(temporary)
	if err == nil {
		err = temporary.Chmod(mode)
	}
	if err == nil {
		err = temporary.Sync()
	}
	if err = errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

func writeInto(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// printLine writes a result to standard output.
func printLine(cmd *cobra.Command, result []byte) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", result)
	return err
}

// contentFlags name the file to encode or prove. It is a file on disk, or a file that
// is generated from a seed.
type contentFlags struct {
	path string
	seed string
	size int64
}

func (c *contentFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.path, "file", "", "the file")
	cmd.Flags().StringVar(&c.seed, "seed", "", "in place of --file, the seed of the file stream that the file is made of")
	cmd.Flags().Int64Var(&c.size, "size", 0, "with --seed, the size of the file in bytes")
}

// open returns the file and its size. The caller must call release.
func (c *contentFlags) open(cmd *cobra.Command) (file io.ReaderAt, size int64, release func() error, err error) {
	given := cmd.Flags().Changed
	switch {
	case given("file") && !given("seed") && !given("size"):
		return openFile(c.path)
	case given("file") || given("seed") != given("size"):
		return nil, 0, nil, errors.New("the file is given by --file alone, or by --seed and --size together")
	case !given("seed"):
		return nil, 0, nil, errors.New("the file is missing: give --file, or --seed and --size")
	case c.size < 0:
		return nil, 0, nil, fmt.Errorf("--size is %d; give a size in bytes, from 0 up", c.size)
	}
	return filestream.New(c.seed, c.size), c.size, func() error { return nil }, nil
}

func openFile(path string) (_ io.ReaderAt, size int64, release func() error, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, nil, err
	}
	status, err := file.Stat()
	if err == nil && !status.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file, and its parts are read in any order", path)
	}
	if err != nil {
		return nil, 0, nil, errors.Join(err, file.Close())
	}
	return file, status.Size(), file.Close, nil
}
