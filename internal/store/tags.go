package store

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"slices"
	"sync"
)

// tagPart is the maximum number of bytes of a tag in one row. A tag has no maximum
// size, but a server refuses statements that are larger than its
// max_allowed_packet. Escaping can double the size of a value, and minPacket is
// 1 MiB. Rows of older versions have up to 1 MiB.
const tagPart = 256 << 10

// tagBatch is the maximum number of bytes of small tags that are read together.
const tagBatch = 1 << 20

// Tag reads a file's binary tag, one row at a time. If the caller reads slowly, Tag
// holds at most one row in memory, and no connection.
type Tag struct {
	ctx    context.Context
	store  *Store
	fileID int64
	size   int64
	read   int64  // number of bytes fetched so far
	part   int    // number of the next part
	buf    []byte // bytes that were fetched, but not read yet
}

// Tags reads the tags of new contracts in order. It fetches several small tags
// together, up to tagBatch bytes.
type Tags struct {
	ctx   context.Context
	store *Store
	left  []HandedOut
	parts map[int64][]byte // the first part of each fetched tag, by file id
	held  *[]byte          // the memory that holds the parts
}

var tagBuffers = sync.Pool{New: func() any { return new([]byte) }}

// Tags starts to read the tags of contracts. The caller must call Close. If ctx
// ends, all reads fail.
func (s *Store) Tags(ctx context.Context, contracts []HandedOut) *Tags {
	return &Tags{ctx: ctx, store: s, left: contracts, held: tagBuffers.Get().(*[]byte)}
}

// Close ends the reading. Every Tag becomes invalid.
func (t *Tags) Close() {
	t.parts = nil
	tagBuffers.Put(t.held)
}

// Next opens the tag of the next contract, or returns ErrNotFound. The previous Tag
// becomes invalid. The caller must not call Next more often than there are
// contracts.
func (t *Tags) Next() (tag *Tag, err error) {
	h := t.left[0]
	defer wrap(&err, "read the tag of file %d", h.FileID)
	if _, held := t.parts[h.FileID]; !held {
		if err := t.fetch(); err != nil {
			return nil, err
		}
	}
	first, ok := t.parts[h.FileID]
	if !ok {
		return nil, ErrNotFound
	}
	delete(t.parts, h.FileID)
	t.left = t.left[1:]
	return &Tag{
		ctx: t.ctx, store: t.store, fileID: h.FileID, size: h.TagSize, read: int64(len(first)), part: 1, buf: first,
	}, nil
}

// fetch reads the first part of each of the next tags.
func (t *Tags) fetch() error {
	var files []int64
	total := int64(0)
	for len(files) < len(t.left) && len(files) < batchRows {
		size := min(t.left[len(files)].TagSize, tagPart)
		if total+size > tagBatch && len(files) > 0 {
			break
		}
		total += size
		files = append(files, t.left[len(files)].FileID)
	}
	t.parts = make(map[int64][]byte, len(files))
	held := slices.Grow((*t.held)[:0], int(total))
	*t.held = held
	return t.store.reader(t.ctx).query(func(rows *sql.Rows) error {
		var file int64
		var content sql.RawBytes
		err := rows.Scan(&file, &content)
		begin := len(held)
		held = append(held, content...)
		t.parts[file] = held[begin:]
		return err
	}, "SELECT file_id, content FROM tags WHERE part = 0 AND file_id IN "+idList(files))
}

// Size returns the length of the tag in bytes.
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

// insertTag stores a tag and returns its length. An empty tag has one empty part.
func insertTag(t *tx, fileID int64, tag io.Reader) (size int64, err error) {
	buf := make([]byte, tagPart)
	for part := 0; ; part++ {
		n, err := io.ReadFull(tag, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return 0, fmt.Errorf("read tag: %w", err)
		}
		last := err != nil
		if n > 0 || part == 0 {
			if err := t.exec("INSERT INTO tags (file_id, part, content) VALUES (?, ?, ?)", fileID, part, buf[:n]); err != nil {
				return 0, err
			}
			size += int64(n)
		}
		if last {
			return size, nil
		}
	}
}
