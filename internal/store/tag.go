package store

import (
	"context"
	"fmt"
	"io"

	"gorm.io/gorm"
)

// tagPart is the bytes of a tag in one row, 1 MiB. A tag has no bound of its
// own, and a server refuses statements beyond its max_allowed_packet.
const tagPart = 1 << 20

// Tag streams a file's binary tag, a row at a time: it holds neither the tag
// nor a connection while its reader is slow.
type Tag struct {
	ctx    context.Context
	store  *Store
	fileID int64
	size   int64
	read   int64  // bytes fetched so far
	part   int    // the next one
	buf    []byte // fetched, not yet read
}

// OpenTag begins to read the tag of a file, or fails with ErrNotFound: it is
// deleted once its farmer has shown to have it. ctx bounds the reading too.
func (s *Store) OpenTag(ctx context.Context, fileID int64) (t *Tag, err error) {
	defer wrap(&err, "open tag of file %d", fileID)
	var file fileRow
	if err := s.read.WithContext(ctx).Select("tag_size").Where("id = ?", fileID).Take(&file).Error; err != nil {
		return nil, err
	}
	t = &Tag{ctx: ctx, store: s, fileID: fileID, size: file.TagSize}
	if err := t.fetch(); err != nil {
		return nil, err
	}
	return t, nil
}

// Size is the tag's length in bytes.
func (t *Tag) Size() int64 { return t.size }

func (t *Tag) Read(p []byte) (n int, err error) {
	if len(t.buf) == 0 {
		if t.read == t.size {
			return 0, io.EOF
		}
		if err := t.fetch(); err != nil {
			return 0, err
		}
	}
	n = copy(p, t.buf)
	t.buf = t.buf[n:]
	return n, nil
}

func (t *Tag) fetch() (err error) {
	defer wrap(&err, "read part %d of the tag of file %d", t.part, t.fileID)
	var row tagRow
	err = t.store.read.WithContext(t.ctx).Where("file_id = ? AND part = ?", t.fileID, t.part).Take(&row).Error
	if err != nil {
		return err
	}
	t.buf = row.Content
	t.read += int64(len(row.Content))
	t.part++
	return nil
}

// insertTag stores what tag holds, and returns its length.
func insertTag(tx *gorm.DB, fileID int64, tag io.Reader) (size int64, err error) {
	buf := make([]byte, tagPart)
	for part := 0; ; part++ {
		n, err := io.ReadFull(tag, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return 0, fmt.Errorf("read tag: %w", err)
		}
		last := err != nil
		if n > 0 || part == 0 {
			if err := tx.Create(&tagRow{FileID: fileID, Part: part, Content: buf[:n]}).Error; err != nil {
				return 0, err
			}
			size += int64(n)
		}
		if last {
			return size, nil
		}
	}
}
