package merkle

import (
	"context"
	"fmt"
	"io"
)

// readSize is how much of a file is held while its content is copied.
const readSize = 64 << 10

// copyContent writes the whole file to w. It is a reading of its own, in order,
// since challenges cover a file here and there.
func copyContent(ctx context.Context, w io.Writer, file io.ReaderAt, size int64) error {
	buffer := make([]byte, min(size, readSize))
	for offset := int64(0); offset < size; offset += int64(len(buffer)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		buffer = buffer[:min(size-offset, readSize)]
		// An io.ReaderAt may say io.EOF along with the last byte.
		if n, err := file.ReadAt(buffer, offset); n < len(buffer) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read the file at %d: %w", offset, err)
		}
		if _, err := w.Write(buffer); err != nil {
			return fmt.Errorf("write the content: %w", err)
		}
	}
	return nil
}
