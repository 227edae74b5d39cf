package heartbeatcmd

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/driveshare/downstream-node/internal/program"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/heartbeat"
)

// encodeFlags are the flags of heartbeat encode.
type encodeFlags struct {
	private, tag, state string
	content             contentFlags
	challenges          int
	rootSeed            string
	chunkSize           int64
}

func newEncodeCommand() *cobra.Command {
	var f encodeFlags
	cmd := newCommand("encode --heartbeat FILE (--file FILE | --seed SEED --size BYTES) --tag OUT --state OUT",
		"Encode a file: its tag for the farmer, its state for the node", "", f.run,
		privateFlag(&f.private),
		fileFlag{&f.tag, "tag", "where to write the tag, which the farmer proves with", true},
		fileFlag{&f.state, "state", "where to write the state, which the node challenges and verifies with", true},
	)
	f.content.register(cmd)
	cmd.Flags().IntVar(&f.challenges, "challenges", 256, "Merkle only: how many challenges the tag answers")
	cmd.Flags().StringVar(&f.rootSeed, "root-seed", "", "Merkle only: the 32 bytes, in base64, that the seeds start from (default random)")
	cmd.Flags().Int64Var(&f.chunkSize, "chunk-size", 0, "Merkle only: the bytes that one challenge covers (default by the check fraction)")
	return cmd
}

func (f *encodeFlags) run(cmd *cobra.Command) (err error) {
	h, err := readPrivate(cmd, f.private)
	if err != nil {
		return err
	}
	options, err := f.options(cmd, h.Type())
	if err != nil {
		return err
	}
	file, size, release, err := f.content.open(cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()

	if size >= longEncode {
		total := size
		if h.Type() == heartbeat.Merkle {
			total = -1 // not known, because challenges overlap
		}
		bar := program.NewProgressBar(cmd, total)
		defer bar.Done()
		file = progressReader{file, bar}
	}
	var state []byte
	err = replaceFile(f.tag, 0o644, func(w io.Writer) (err error) {
		state, err = encodeJSON(cmd.Context(), h, file, size, w, options)
		return err
	})
	if err != nil {
		return err
	}
	return writeState(f.state, state)
}

func (f *encodeFlags) options(cmd *cobra.Command, t heartbeat.Type) (o heartbeat.EncodeOptions, err error) {
	for _, name := range []string{"challenges", "root-seed", "chunk-size"} {
		if t != heartbeat.Merkle && cmd.Flags().Changed(name) {
			return o, fmt.Errorf("--%s is for Merkle, and this heartbeat is %s; remove the flag", name, t)
		}
	}
	if f.challenges < 1 {
		return o, fmt.Errorf("--challenges is %d; give 1 or more", f.challenges)
	}
	o.Challenges = f.challenges
	if cmd.Flags().Changed("chunk-size") {
		o.ChunkSize = &f.chunkSize
	}
	if cmd.Flags().Changed("root-seed") {
		o.RootSeed, err = base64.StdEncoding.DecodeString(f.rootSeed)
		if err == nil && len(o.RootSeed) != 32 {
			err = fmt.Errorf("it is %d bytes", len(o.RootSeed))
		}
		if err != nil {
			return o, fmt.Errorf("--root-seed: give 32 bytes in base64: %w", err)
		}
	}
	return o, nil
}

// longEncode is the minimum size, in bytes, of a file for which encoding shows a
// progress bar.
const longEncode = 64 << 20

// progressReader reports the number of bytes that are read to a progress bar.
type progressReader struct {
	file io.ReaderAt
	bar  program.ProgressBar
}

func (r progressReader) ReadAt(p []byte, offset int64) (int, error) {
	n, err := r.file.ReadAt(p, offset)
	r.bar.Add(int64(n))
	return n, err
}

// encodeJSON encodes a file and streams the tag to w in its wire form, so that memory
// use does not grow with the size of the file.
func encodeJSON(ctx context.Context, h heartbeat.Heartbeat, file io.ReaderAt, size int64, w io.Writer, o heartbeat.EncodeOptions) (state []byte, err error) {
	tag, pipe := io.Pipe()
	encoded := make(chan error, 1)
	go func() {
		var err error
		state, err = h.Encode(ctx, file, size, pipe, o)
		pipe.CloseWithError(err)
		encoded <- err
	}()
	err = h.WriteTagJSON(w, tag)
	tag.CloseWithError(err) // stops Encode if writing has failed
	if encodeErr := <-encoded; encodeErr != nil {
		return nil, encodeErr
	}
	return state, err
}
