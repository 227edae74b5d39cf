package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
)

// minPacket is the smallest max_allowed_packet with which the node works. All
// statements are smaller: updateBytes and tagPart limit the largest ones, and an
// escaped value takes at most twice its length.
const minPacket = 1 << 20

// CheckServer returns an error if a setting of the server prevents the node from
// working. The error names the setting and the right value. If the server is TiDB, the
// error wraps ErrUnsupported. SQLite has no such settings.
func (s *Store) CheckServer(ctx context.Context) (err error) {
	defer wrap(&err, "read the server's settings")
	_, err = s.checkedSettings(ctx)
	return err
}

func (s *Store) checkedSettings(ctx context.Context) (map[string]string, error) {
	if s.cfg.Driver == SQLite {
		return nil, nil
	}
	settings, err := s.serverSettings(ctx, "VARIABLES", "version", "version_comment", "log_bin", "binlog_format", "max_allowed_packet", "max_prepared_stmt_count")
	if err != nil {
		return nil, err
	}
	return settings, checkSettings(settings)
}

// serverSettings reads variables or status values of the server. A name that the
// server does not know is missing from the map.
func (s *Store) serverSettings(ctx context.Context, kind string, names ...string) (map[string]string, error) {
	found := map[string]string{}
	var name, value string
	err := s.reader(ctx).query(func(rows *sql.Rows) error {
		err := rows.Scan(&name, &value)
		found[strings.ToLower(name)] = value
		return err
	}, "SHOW "+kind+" WHERE Variable_name IN ('"+strings.Join(names, "', '")+"')")
	return found, err
}

func checkSettings(settings map[string]string) error {
	// An operator of TiDB can set its version to that of a MySQL, but not the comment.
	for _, name := range []string{"version", "version_comment"} {
		if strings.Contains(strings.ToLower(settings[name]), "tidb") {
			return fmt.Errorf("%w: the server is TiDB (its %s is %q); TiDB locks no row for a SELECT with SKIP LOCKED, refuses START TRANSACTION READ ONLY,"+
				" and the node is not tested on it; use MySQL 8, or MariaDB from 10.6 on", ErrUnsupported, name, settings[name])
		}
	}
	packet, err := strconv.ParseInt(settings["max_allowed_packet"], 10, 64)
	if err == nil && packet < minPacket {
		return fmt.Errorf("max_allowed_packet is %d bytes, which is too small for the node's statements;"+
			" set max_allowed_packet to 16M in the server's configuration, and at least to %d", packet, minPacket)
	}
	if settings["log_bin"] == "ON" && settings["binlog_format"] == "STATEMENT" {
		return fmt.Errorf("binlog_format is STATEMENT, with which the server refuses the node's transactions;" +
			" set binlog_format to ROW (or MIXED) in the server's configuration, and restart it")
	}
	return nil
}

// checkForMigration is CheckServer with the settings that only a migration needs.
func (s *Store) checkForMigration(ctx context.Context) error {
	settings, err := s.checkedSettings(ctx)
	if err != nil || settings == nil {
		return err
	}
	status, err := s.serverSettings(ctx, "GLOBAL STATUS", "Prepared_stmt_count")
	if err != nil {
		return err
	}
	most, err := strconv.ParseInt(settings["max_prepared_stmt_count"], 10, 64)
	used, _ := strconv.ParseInt(status["prepared_stmt_count"], 10, 64) // 0 if the server does not say
	if err == nil && used >= most {
		return fmt.Errorf("max_prepared_stmt_count is %d and %d are in use, but the migrations prepare one statement at a time;"+
			" SET GLOBAL max_prepared_stmt_count = 16382", most, used)
	}
	return nil
}
