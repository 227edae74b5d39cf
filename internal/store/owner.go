package store

import (
	"context"
	"fmt"
	"strings"
)

// Owner identifies the node that a database belongs to. The UID is that of the
// DownstreamNode. Nodes that no operator runs have none, and claim no database.
type Owner struct {
	Name, UID string
}

func (o Owner) String() string { return fmt.Sprintf("%s (%s)", o.Name, o.UID) }

// Owner returns the owner of the database. It is empty if no node has claimed it.
func (s *Store) Owner(ctx context.Context) (owner Owner, err error) {
	defer wrap(&err, "read the owner of the database")
	return ownerOf(s.reader(ctx))
}

// Claim records the owner of the database. It returns ErrOtherOwner if the database
// belongs to a node of another name. A node that was made again has the old name and
// another UID, so it keeps its database.
func (s *Store) Claim(ctx context.Context, owner Owner) (err error) {
	defer wrap(&err, "claim the database")
	value := []byte(owner.Name + " " + owner.UID) // neither contains a space
	_, err = transact(ctx, s, func(t *tx) (struct{}, error) {
		if err := s.insertOrLockSetting(t, ownerSetting, value); err != nil {
			return struct{}{}, err
		}
		recorded, err := ownerOf(t)
		switch {
		case err != nil:
			return struct{}{}, err
		case recorded.Name != owner.Name:
			return struct{}{}, fmt.Errorf("%w: it belongs to %s, not to %s", ErrOtherOwner, recorded, owner)
		case recorded == owner:
			return struct{}{}, nil
		}
		return struct{}{}, t.exec("UPDATE settings SET value = ? WHERE name = ?", value, ownerSetting)
	})
	return err
}

// Disown removes the owner, so that the next node that migrates the database owns it.
func (s *Store) Disown(ctx context.Context) (err error) {
	defer wrap(&err, "remove the owner of the database")
	_, err = transact(ctx, s, func(t *tx) (struct{}, error) {
		return struct{}{}, t.exec("DELETE FROM settings WHERE name = ?", ownerSetting)
	})
	return err
}

// AfterRestore are statements that follow a dump of the database when it is loaded into
// another database. The next node that migrates that database owns it, and processes and
// Redis keep no copies of rows that are newer than the dump; see Restored.
const AfterRestore = "DELETE FROM settings WHERE name IN ('" + ownerSetting + "', '" + turnPrefix + RepairTurn + "');\n" +
	"UPDATE settings SET value = SUBSTRING(MD5(UUID()), 1, 10) WHERE name = '" + incarnationSetting + "';\n"

func ownerOf(t *tx) (Owner, error) {
	value, err := setting(t, ownerSetting)
	name, uid, _ := strings.Cut(string(value), " ")
	return Owner{Name: name, UID: uid}, err
}
