package store

import "context"

// Class is the files of one heartbeat key and one size.
type Class struct {
	KeyID int64
	Size  int64 // bytes
}

func (c *Class) addresses() []any { return []any{&c.KeyID, &c.Size} }

// WaitingClasses lists the classes of the inventory.
func (s *Store) WaitingClasses(ctx context.Context) (classes []Class, err error) {
	defer wrap(&err, "list the classes of the inventory")
	return appendRows(nil, s.reader(ctx), (*Class).addresses, "SELECT DISTINCT key_id, size FROM chunks ORDER BY key_id, size")
}

// HeldClasses lists the classes of a farmer's live contracts.
func (s *Store) HeldClasses(ctx context.Context, farmerID string) (classes []Class, err error) {
	defer wrap(&err, "list the classes of farmer %s", farmerID)
	return appendRows(nil, s.reader(ctx), (*Class).addresses,
		"SELECT DISTINCT c.key_id, c.size FROM contracts c JOIN tokens t ON t.id = c.token_id WHERE t.farmer_id = ? AND c.live = 1", farmerID)
}
